//! Which packets are meant, as people say it and as rules.

use std::fmt;
use std::net::IpAddr;

use firedrill_catalogue::Parameters;
use firedrill_wire::{Problem, ProblemKind};

use super::expression::{Base, Expression, Meta};
use super::nft::{Family, HIT, Hook, MATCHED, Rule, Rules};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;

/// Where the header of TCP has its flags, and two of them.
const TCP_FLAGS: u32 = 13;
const TCP_SYN: u8 = 2;
const TCP_ACK: u8 = 16;

/// Netfilter's numbers for the families of addresses.
const IS_V4: u8 = 2;
const IS_V6: u8 = 10;

/// Packets of one network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `any`, `tcp`, `udp`, `icmp`.
    pub protocol: Protocol,
    /// Of either end.
    pub port: Option<u16>,
    /// Of the other end; of either, where packets are passed on.
    pub peer: Option<Peer>,
    /// Leaving, arriving, or both; or passed on.
    pub hooks: &'static [Hook],
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Whichever.
    Any,
    /// TCP alone.
    Tcp,
    /// UDP alone.
    Udp,
    /// ICMP alone, and ICMPv6.
    Icmp,
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address, or the first of the network.
    pub address: IpAddr,
    /// How many bits of it count.
    pub bits: u8,
}

impl Peer {
    /// From `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected an address or a network such as 10.0.0.5 or 10.0.0.0/8, found \"{text}\"");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| expected())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.trim().parse().map_err(|_| expected()))?;
        if bits > all {
            return Err(expected());
        }
        Ok(Self { address, bits })
    }

    /// Its bytes, and which bits of them count.
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let bytes = match self.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mask: Vec<u8> = (0..bytes.len())
            .map(|at| {
                let ones = usize::from(self.bits).saturating_sub(at * 8).min(8);
                !(0xff_u16 >> ones) as u8
            })
            .collect();
        let masked = bytes.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
        (masked, mask)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        let all = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits < all {
            write!(f, "/{}", self.bits)?;
        }
        Ok(())
    }
}

impl Filter {
    /// From a fault's parameters; a fault on TCP alone has no `protocol`.
    pub fn of(parameters: &Parameters) -> Result<Self, Problem> {
        let protocol = match parameters.text("protocol") {
            Some("any") => Protocol::Any,
            Some("udp") => Protocol::Udp,
            Some("icmp") => Protocol::Icmp,
            _ => Protocol::Tcp,
        };
        let hooks: &[Hook] = match parameters.text("direction") {
            Some("in") => &[Hook::Input],
            Some("out") => &[Hook::Output],
            Some("through") => &[Hook::Forward],
            _ => &[Hook::Input, Hook::Output],
        };
        let wrong = |detail: String, remedy: &str| {
            Problem::new(
                ProblemKind::Parameters,
                "the parameters are not right",
                detail,
                remedy,
            )
        };
        let peer = parameters.text("peer").map(Peer::parse).transpose();
        let peer = peer.map_err(|why| wrong(format!("parameters.peer: {why}"), "give an address"))?;
        let port = parameters.count("port").and_then(|port| u16::try_from(port).ok());
        if protocol == Protocol::Icmp && port.is_some() {
            let detail = "parameters.port: ICMP has no ports".to_owned();
            return Err(wrong(detail, "leave port out, or take another protocol"));
        }
        Ok(Self {
            protocol,
            port,
            peer,
            hooks,
        })
    }

    /// The rules that send these packets to [`HIT`], but those of TCP with the `spared` ports on this side.
    pub fn rules(&self, family: Family, spared: &[u16]) -> Vec<(Hook, Rule)> {
        let mut rules = Vec::new();
        for hook in self.hooks {
            for port in spared {
                rules.extend(spare(*hook, *port).into_iter().map(|rule| (*hook, rule)));
            }
            for network in self.networks(*hook, family) {
                for transport in self.transport() {
                    let mut rule = network.clone();
                    rule.extend(transport);
                    rule.push(Expression::GoTo(HIT));
                    rules.push((*hook, rule));
                }
            }
        }
        rules
    }

    /// What finds the peer, a rule for each end that it may be; none when no packet of the family is from or to it.
    fn networks(&self, hook: Hook, family: Family) -> Vec<Rule> {
        let Some(peer) = &self.peer else {
            return vec![Vec::new()];
        };
        let is_v4 = peer.address.is_ipv4();
        let (source, target, length) = if is_v4 { (12, 16, 4) } else { (8, 24, 16) };
        let head = match (family, is_v4) {
            (Family::V4, false) | (Family::V6, true) => return Vec::new(),
            (Family::Both, _) => vec![
                Expression::Meta(Meta::Family),
                Expression::Is(vec![if is_v4 { IS_V4 } else { IS_V6 }]),
            ],
            _ => Vec::new(),
        };
        let (bytes, mask) = peer.bytes();
        let ends: &[u32] = match hook {
            Hook::Input => &[source],
            Hook::Output => &[target],
            Hook::Forward => &[source, target],
        };
        let rule = |offset: &u32| {
            let mut rule = head.clone();
            rule.extend([
                Expression::Payload {
                    base: Base::Network,
                    offset: *offset,
                    length,
                },
                Expression::Mask(mask.clone()),
                Expression::Is(bytes.clone()),
            ]);
            rule
        };
        ends.iter().map(rule).collect()
    }

    /// What finds the protocol and the port: a rule each.
    fn transport(&self) -> Vec<Rule> {
        let numbers: &[u8] = match (self.protocol, self.port) {
            (Protocol::Any, None) => return vec![Vec::new()],
            (Protocol::Any, Some(_)) => &[TCP, UDP],
            (Protocol::Tcp, _) => &[TCP],
            (Protocol::Udp, _) => &[UDP],
            (Protocol::Icmp, _) => &[ICMP, ICMP_V6],
        };
        let rules = numbers.iter().map(|number| transport_is(*number));
        let Some(port) = self.port else {
            return rules.collect();
        };
        rules
            .flat_map(|rule| {
                [SOURCE_PORT, TARGET_PORT].map(|offset| [rule.clone(), port_is(offset, port)].concat())
            })
            .collect()
    }
}

const SOURCE_PORT: u32 = 0;
const TARGET_PORT: u32 = 2;

fn transport_is(number: u8) -> Rule {
    vec![Expression::Meta(Meta::Transport), Expression::Is(vec![number])]
}

fn port_is(offset: u32, port: u16) -> Rule {
    vec![
        Expression::Payload {
            base: Base::Transport,
            offset,
            length: 2,
        },
        Expression::Is(port.to_be_bytes().to_vec()),
    ]
}

/// Counts those that knock at a TCP port of this host: the first packets of new connections.
pub fn knocks(port: u16) -> Rules {
    let first = [
        Expression::Payload {
            base: Base::Transport,
            offset: TCP_FLAGS,
            length: 1,
        },
        Expression::Mask(vec![TCP_SYN | TCP_ACK]),
        Expression::Is(vec![TCP_SYN]),
        Expression::Count(MATCHED),
    ];
    let rule = [transport_is(TCP), port_is(TARGET_PORT, port), first.to_vec()].concat();
    Rules {
        find: vec![(Hook::Input, rule)],
        hit: Vec::new(),
    }
}

/// Lets the packets of a port of this host pass that a listener here has, also where both ends are on this host. What
/// is passed on is for others.
fn spare(hook: Hook, port: u16) -> Vec<Rule> {
    let (own, others, device) = match hook {
        Hook::Input => (TARGET_PORT, SOURCE_PORT, Meta::InputName),
        Hook::Output => (SOURCE_PORT, TARGET_PORT, Meta::OutputName),
        Hook::Forward => return Vec::new(),
    };
    let on_loopback = vec![Expression::Meta(device), Expression::Is(b"lo\0".to_vec())];
    let rule = |head: Rule, offset| {
        let rest = [transport_is(TCP), port_is(offset, port), vec![Expression::Accept]];
        [head, rest.concat()].concat()
    };
    vec![rule(Vec::new(), own), rule(on_loopback, others)]
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocol {
            Protocol::Any => "packets",
            Protocol::Tcp => "TCP packets",
            Protocol::Udp => "UDP packets",
            Protocol::Icmp => "ICMP packets",
        })?;
        if let Some(port) = self.port {
            write!(f, " of port {port}")?;
        }
        match self.hooks {
            [Hook::Input] => f.write_str(" that arrive")?,
            [Hook::Output] => f.write_str(" that leave")?,
            [Hook::Forward] => f.write_str(" that are passed on")?,
            _ => f.write_str(" in both directions")?,
        }
        match &self.peer {
            Some(peer) => write!(f, ", peer {peer}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_addresses_and_networks() {
        let peer = Peer::parse("10.1.2.3/12").unwrap();
        assert_eq!(peer.bytes(), (vec![10, 0, 0, 0], vec![255, 240, 0, 0]));
        assert_eq!(peer.to_string(), "10.1.2.3/12");
        assert_eq!(Peer::parse("fd00::1").unwrap().bytes().1, vec![255; 16]);
        assert_eq!(Peer::parse("0.0.0.0/0").unwrap().bytes().1, vec![0; 4]);
        for wrong in [
            "",
            "host",
            "10.0.0.0/33",
            "10.0.0.0/",
            "fd00::/129",
            "10.0.0.1/-1",
        ] {
            assert!(Peer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_is_a_rule_for_each_end_and_protocol() {
        let filter = Filter {
            protocol: Protocol::Any,
            port: Some(53),
            peer: Some(Peer::parse("::1").unwrap()),
            hooks: &[Hook::Input, Hook::Output],
        };
        // Two directions, two protocols, two ends.
        assert_eq!(filter.rules(Family::Both, &[]).len(), 8);
        assert_eq!(filter.rules(Family::V6, &[]).len(), 8);
        assert!(filter.rules(Family::V4, &[]).is_empty());
        // A spared port: by itself, and over loopback, at each hook.
        let spared = filter.rules(Family::V4, &[7431]);
        assert_eq!(spared.len(), 4);
        assert!(
            spared
                .iter()
                .all(|(_, rule)| rule.last() == Some(&Expression::Accept))
        );
        // Passed on, either end may be the peer; nothing of it is the agent's own.
        let through = Filter {
            hooks: &[Hook::Forward],
            ..filter.clone()
        };
        assert_eq!(through.rules(Family::V6, &[7431]).len(), 8);
        let all = Filter {
            port: None,
            peer: None,
            hooks: &[Hook::Output],
            ..filter
        };
        assert_eq!(
            all.rules(Family::Both, &[]),
            [(Hook::Output, vec![Expression::GoTo(HIT)])]
        );
    }
}
