//! What is on this computer while the demo runs, in sentences.

use crate::load::RATE;
use crate::{Addresses, Build, PAYMENT_ROUTE};

/// Sentences for the welcome screen and the terminal: what runs, where, who can reach it, and when it ends.
pub fn words(build: Build, addresses: &Addresses) -> Vec<String> {
    let Addresses {
        gateway,
        orders,
        payments,
        inventory,
    } = addresses;
    let behaviour = match build {
        Build::Fragile => {
            "This is the fragile build: it waits for payments without a deadline and tries again for ever."
        }
        Build::Hardened => {
            "This is the hardened build: deadlines, retries with back-off, a circuit breaker, and payment later when payments does not answer in time."
        }
    };
    vec![
        format!(
            "A small shop runs on this computer: gateway ({gateway}) hands orders to orders ({orders}), which asks inventory ({inventory}) and payments ({payments})."
        ),
        format!("Customers send {RATE} real HTTP orders a second; nothing is simulated and no money moves."),
        behaviour.to_owned(),
        format!(
            "Orders reaches payments through the route {PAYMENT_ROUTE} of a Firedrill agent, a process of its own; that is where the fault is injected."
        ),
        "Everything listens on 127.0.0.1 only: no other computer can reach it.".to_owned(),
        "It ends with this window, or with the command that started it.".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    #[test]
    fn every_port_is_named() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let addresses = Addresses {
            gateway: at(6001),
            orders: at(6002),
            payments: at(6003),
            inventory: at(6004),
        };
        let all = words(Build::Fragile, &addresses).join(" ");
        for port in ["6001", "6002", "6003", "6004"] {
            assert!(all.contains(port), "{all}");
        }
        assert_ne!(all, words(Build::Hardened, &addresses).join(" "));
    }
}
