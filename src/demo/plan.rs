//! The demo's plan, as text that people read: it is the first plan they see.

use crate::Addresses;

/// The route of the agent's proxy that stands before payments. The agent must be given it under this name.
pub const PAYMENT_ROUTE: &str = "payment-http";
/// The route before inventory, which templates of the library use.
pub const INVENTORY_ROUTE: &str = "inventory-http";
/// The route between gateway and orders, for the same.
pub const BALANCER_ROUTE: &str = "balancer";
/// The plan's only agent.
pub const AGENT_NAME: &str = "payments-1";
/// The plan's only experiment.
pub const EXPERIMENT_NAME: &str = "Payment is slow";

/// The plan for a system at these addresses and the agent at `agent_url` whose proxy has [`PAYMENT_ROUTE`].
///
/// The SLIs are measured at the gateway: what customers get, all waiting included. Times are tuned so that a
/// drill takes about half a minute: windows of 5 s, a baseline of 6 s, 20 s of fault at the most.
pub fn plan(addresses: &Addresses, agent_url: &str) -> String {
    let Addresses { gateway, orders, .. } = addresses;
    format!(
        r#"# A rehearsal on a small shop that runs on this computer: gateway, orders, payments, inventory.
# Customers send 40 orders a second. What happens to them when the payment provider answers late?

title = "Orders: payment provider slows down"
system = "orders"
goal = "Checkout stays usable while the payment provider is slow."

[metrics]
# The services say these numbers themselves; a Prometheus server would do as well: prometheus = "http://…"
scrape = ["http://{gateway}/metrics", "http://{orders}/metrics"]
every = "500ms"

# What customers get, in two numbers, measured at the gateway. Each has three lines: `band` is the steady
# state, `tolerate` what the hypothesis allows, `stop` where safety ends the drill.
[[sli]]
name = "Order success"
ratio = {{ good = 'http_requests_total{{job="gateway",code!~"5.."}}', total = 'http_requests_total{{job="gateway"}}', window = "5s" }}
unit = "%"
min_rate = "5/s"                           # less traffic than this is no data
band     = {{ min = 0.9995 }}
tolerate = {{ min = 0.97 }}
stop     = {{ min = 0.90, after = 2 }}       # two bad samples in a row end the drill
say = {{ ok = "Orders are fine", out = "Orders fail" }}

[[sli]]
name = "P95 latency"
quantile = {{ q = 0.95, histogram = 'http_request_duration_seconds{{job="gateway"}}', window = "5s" }}
unit = "ms"                                # how it is shown; the lines are in seconds
min_rate = "5/s"
band     = {{ max = 0.3 }}
tolerate = {{ max = 0.8 }}
stop     = {{ max = 2.0, after = 2 }}
say = {{ ok = "Checkout is fast", out = "Checkout is slow" }}

# Not what customers get, but where to look for the cause: it never stops the drill.
[[sli]]
name = "Queue depth"
gauge = 'queue_depth{{job="orders"}}'
unit = "orders"
band     = {{ max = 5 }}
tolerate = {{ max = 50 }}
stop     = "never"

# What injects: an agent on the host of payments. Its proxy has a route between orders and payments, which
# passes everything through unchanged until a fault is put on it.
[[agent]]
name = "{AGENT_NAME}"
url = "{agent_url}"
labels = {{ env = "demo", service = "payments" }}

[[experiment]]
name = "{EXPERIMENT_NAME}"
hypothesis = "Orders stay within tolerance when payment answers 400 ms later."
say = "Payment is slow on {{n}} of {{all}} hosts."
lease = "5s"                               # without a word from us, the agent takes the fault back by itself
baseline = "6s"                            # steady for so long before anything is injected
recover = "15s"                            # back in the band by then, or the hypothesis is broken

  [[experiment.step]]
  inject = "http.latency"
  target = {{ service = "payments", mode = "one", route = "{PAYMENT_ROUTE}" }}
  with = {{ path = "/api/payment", delay = "400ms", jitter = "100ms" }}
  for = "20s"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use firedrill_plan::{Action, Indicator, Source, check};

    use super::*;

    #[test]
    fn it_is_a_plan_without_errors_or_warnings() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let addresses = Addresses {
            gateway: at(1),
            orders: at(2),
            payments: at(3),
            inventory: at(4),
        };
        let checked = check(&plan(&addresses, "http://127.0.0.1:7431"));
        assert!(checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
        let plan = checked.plan.unwrap();

        let scrape = ["http://127.0.0.1:1/metrics", "http://127.0.0.1:2/metrics"].map(str::to_owned);
        assert_eq!(plan.metrics.source, Source::Scrape(scrape.to_vec()));
        assert!(matches!(
            plan.slis[0].indicator,
            Indicator::Ratio { window_ms: 5_000, .. }
        ));
        assert_eq!(
            (plan.agents[0].name.as_str(), plan.agents[0].url.as_str()),
            (AGENT_NAME, "http://127.0.0.1:7431")
        );
        let [experiment] = &plan.experiments[..] else {
            panic!("one experiment")
        };
        assert_eq!(experiment.name, EXPERIMENT_NAME);
        let Action::Inject(inject) = &experiment.steps[0].action else {
            panic!("one injection")
        };
        assert_eq!(inject.target.scope.route.as_deref(), Some(PAYMENT_ROUTE));
    }
}
