//! Which connections and packets a fault hits: a port, some addresses, or everything; and the instructions that
//! choose them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::asm::{Alu, Assembler, Helper, Label, Reg, Size, When};

/// Most addresses or ranges that one fault may name.
pub const MAX_PEERS: usize = 16;

/// `struct bpf_sock_addr`, as a program sees it.
pub mod sock_addr {
    /// The IPv4 address, in the order of the network.
    pub const IP4: i16 = 4;
    /// The IPv6 address, four words.
    pub const IP6: i16 = 8;
    /// The port, in the order of the network.
    pub const PORT: i16 = 24;
    /// The sort of socket: `SOCK_STREAM`, …
    pub const TYPE: i16 = 32;
    /// What it speaks: `IPPROTO_TCP`, …
    pub const PROTOCOL: i16 = 36;
}

/// TCP's number.
pub const TCP: u8 = 6;
/// UDP's number.
pub const UDP: u8 = 17;

/// `__sk_buff.protocol`.
const SKB_PROTOCOL: i16 = 16;

/// Where a program keeps the packet's IP header, below the end of its stack.
const HEADER: i16 = -64;
/// Where it keeps the beginning of the packet's TCP or UDP header: the two ports.
pub const PORTS: i16 = -8;

const IP4_HEADER: i32 = 20;
const IP6_HEADER: i32 = 40;

/// A range of addresses; one address is the range of all its bits. IPv4 in IPv6 counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    address: IpAddr,
    bits: u8,
}

impl Range {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no address such as 10.0.0.7 or 2001:db8::7, and no range such as 10.0.0.0/8"
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(wrong());
        }
        let range = Self { address, bits };
        if range.masked() != address {
            return Err(format!(
                "\"{text}\" has bits beyond its range: write {}/{bits}",
                range.masked()
            ));
        }
        Ok(range)
    }

    /// The mask's four words of an IPv6 address, or an IPv4 address' one, as numbers.
    fn mask(self) -> u128 {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        let ones = u128::MAX.checked_shl(most - u32::from(self.bits)).unwrap_or(0);
        if most == 32 { ones & 0xffff_ffff } else { ones }
    }

    fn masked(self) -> IpAddr {
        match self.address {
            IpAddr::V4(it) => IpAddr::V4((it.to_bits() & self.mask() as u32).into()),
            IpAddr::V6(it) => IpAddr::V6((it.to_bits() & self.mask()).into()),
        }
    }

    /// Whether the address is within.
    pub fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(it)) => it.to_bits() & self.mask() as u32 == range.to_bits(),
            (IpAddr::V6(range), IpAddr::V6(it)) => it.to_bits() & self.mask() == range.to_bits(),
            _ => false,
        }
    }

    /// Whether an address of this family may be within; one of IPv6's form may be IPv4 in it.
    fn can_hold(self, six: bool) -> bool {
        six || self.address.is_ipv4()
    }

    fn words(self, six: bool) -> Vec<(u8, u32, u32)> {
        let mut words = self.words6();
        if !six {
            // An address in IPv4's form is the last word of the other one.
            words.retain(|(which, ..)| *which == 3);
        }
        words
    }

    /// The words to compare, as (which of four, mask, value), for an address in IPv6's form.
    fn words6(self) -> Vec<(u8, u32, u32)> {
        let (address, mask): (Ipv6Addr, u128) = match self.address {
            IpAddr::V4(it) => (it.to_ipv6_mapped(), self.mask() | !0xffff_ffff),
            IpAddr::V6(it) => (it, self.mask()),
        };
        let words = |number: u128| -> [u32; 4] {
            let bytes = number.to_be_bytes();
            std::array::from_fn(|i| {
                u32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
            })
        };
        let (values, masks) = (words(address.to_bits()), words(mask));
        (0..)
            .zip(masks.into_iter().zip(values))
            .filter(|(_, (mask, _))| *mask != 0)
            .map(|(which, (mask, value))| (which, mask, value))
            .collect()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits == most {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

/// What is hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this port.
    pub port: Option<u16>,
    /// Only these at the other end; none: everybody.
    pub peers: Vec<Range>,
}

impl Selection {
    /// From a fault's parameters: `port`, and `peer` with addresses and ranges between commas.
    pub fn of(parameters: &firedrill_catalogue::Parameters) -> Result<Self, String> {
        let port = parameters.count("port").and_then(|port| u16::try_from(port).ok());
        let peers = parameters.text("peer").map(Self::peers).transpose()?;
        Ok(Self {
            port,
            peers: peers.unwrap_or_default(),
        })
    }

    fn peers(text: &str) -> Result<Vec<Range>, String> {
        let peers: Vec<_> = text
            .split(',')
            .map(|part| Range::parse(part.trim()))
            .collect::<Result<_, _>>()?;
        if peers.len() > MAX_PEERS {
            return Err(format!("{} addresses: at most {MAX_PEERS}", peers.len()));
        }
        Ok(peers)
    }

    /// Whether a connection with this peer, between these ports, is hit.
    pub fn holds(&self, peer: IpAddr, ports: &[u16]) -> bool {
        self.port.is_none_or(|port| ports.contains(&port))
            && (self.peers.is_empty() || self.peers.iter().any(|it| it.holds(peer)))
    }

    /// For people: ` with port 5432 and 10.0.0.0/8`, or nothing when everything is hit.
    pub fn words(&self) -> String {
        let peers: Vec<_> = self.peers.iter().map(ToString::to_string).collect();
        match (self.port, peers.is_empty()) {
            (None, true) => String::new(),
            (Some(port), true) => format!(" with port {port}"),
            (None, false) => format!(" with {}", peers.join(", ")),
            (Some(port), false) => format!(" with port {port} at {}", peers.join(", ")),
        }
    }

    /// Whether anything of this family can be hit. Where not, there is no program for it: the verifier takes none
    /// with instructions that are never reached.
    pub fn can_hit(&self, six: bool) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|it| it.can_hold(six))
    }

    /// Goes to `pass` unless the address that the socket call names is chosen. R6 is the context.
    pub fn choose_address(&self, code: &mut Assembler, six: bool, pass: Label) {
        if let Some(port) = self.port {
            code.note(format!("port {port}"));
            code.load(Size::W, Reg::R2, Reg::R6, sock_addr::PORT);
            code.jump_if(Reg::R2, When::Ne, i32::from(port.to_be()), pass);
        }
        let base = if six { sock_addr::IP6 } else { sock_addr::IP4 };
        self.choose_peer(code, Reg::R6, base, six, pass);
    }

    fn choose_peer(&self, code: &mut Assembler, at: Reg, base: i16, six: bool, pass: Label) {
        if self.peers.is_empty() {
            return;
        }
        let ranges: Vec<_> = self
            .peers
            .iter()
            .filter(|range| range.can_hold(six))
            .map(|range| (range, range.words(six)))
            .collect();
        if ranges.iter().any(|(_, words)| words.is_empty()) {
            // One range is all addresses.
            return;
        }
        let chosen = code.label();
        for (range, words) in ranges {
            code.note(format!("{range}"));
            let next = code.label();
            for (which, mask, value) in words {
                let offset = if six { base + 4 * i16::from(which) } else { base };
                code.load(Size::W, Reg::R2, at, offset);
                code.alu(Alu::And, Reg::R2, mask.cast_signed());
                code.jump_if(Reg::R2, When::Ne, value.cast_signed(), next);
            }
            code.jump(chosen);
            code.bind(next);
        }
        code.jump(pass);
        code.bind(chosen);
    }

    /// Goes to `pass` unless the packet is chosen: by the far end's address, and by the port at either end. R6 is
    /// the context. With `transport`, R7 is then where in the packet the TCP or UDP header begins, of the protocol
    /// asked for. Later fragments of a packet have no ports: they are not chosen by them.
    pub fn choose_packet(&self, code: &mut Assembler, leaves: bool, transport: Option<u8>, pass: Label) {
        let (four, six, chosen) = (code.label(), code.label(), code.label());
        code.load(Size::W, Reg::R2, Reg::R6, SKB_PROTOCOL);
        if self.can_hit(false) {
            code.jump_if(Reg::R2, When::Eq, i32::from(0x0800_u16.to_be()), four);
        }
        code.jump_if(Reg::R2, When::Eq, i32::from(0x86dd_u16.to_be()), six);
        code.jump(pass);

        if self.can_hit(false) {
            code.bind(four);
            self.choose_packet4(code, leaves, transport, pass);
            code.jump(chosen);
        }
        code.bind(six);
        self.choose_packet6(code, leaves, transport, pass);
        code.bind(chosen);
    }

    fn choose_packet4(&self, code: &mut Assembler, leaves: bool, transport: Option<u8>, pass: Label) {
        code.note("IPv4");
        load_bytes(code, None, 0, HEADER, IP4_HEADER, pass);
        self.choose_peer(code, Reg::R10, HEADER + if leaves { 16 } else { 12 }, false, pass);
        if self.port.is_some() || transport.is_some() {
            // The offset of a fragment, without the flags.
            code.load(Size::H, Reg::R2, Reg::R10, HEADER + 6);
            code.alu(Alu::And, Reg::R2, i32::from(0x1fff_u16.to_be()));
            code.jump_if(Reg::R2, When::Ne, 0, pass);
            code.load(Size::B, Reg::R7, Reg::R10, HEADER);
            code.alu(Alu::And, Reg::R7, 0x0f);
            code.alu(Alu::Shl, Reg::R7, 2);
            self.choose_ports(code, HEADER + 9, transport, pass);
        }
    }

    fn choose_packet6(&self, code: &mut Assembler, leaves: bool, transport: Option<u8>, pass: Label) {
        code.note("IPv6");
        load_bytes(code, None, 0, HEADER, IP6_HEADER, pass);
        self.choose_peer(code, Reg::R10, HEADER + if leaves { 24 } else { 8 }, true, pass);
        if self.port.is_some() || transport.is_some() {
            code.set(Reg::R7, IP6_HEADER);
            self.choose_ports(code, HEADER + 6, transport, pass);
        }
    }

    /// By the ports of the header that R7 points to.
    fn choose_ports(&self, code: &mut Assembler, protocol_at: i16, transport: Option<u8>, pass: Label) {
        let (is_it, chosen) = (code.label(), code.label());
        code.load(Size::B, Reg::R2, Reg::R10, protocol_at);
        if let Some(transport) = transport {
            code.jump_if(Reg::R2, When::Ne, i32::from(transport), pass);
        } else {
            code.jump_if(Reg::R2, When::Eq, i32::from(TCP), is_it);
            code.jump_if(Reg::R2, When::Ne, i32::from(UDP), pass);
            code.bind(is_it);
        }
        let Some(port) = self.port else { return };
        code.note(format!("port {port} at either end"));
        load_bytes(code, Some(Reg::R7), 0, PORTS, 4, pass);
        for offset in [PORTS, PORTS + 2] {
            code.load(Size::H, Reg::R2, Reg::R10, offset);
            code.jump_if(Reg::R2, When::Eq, i32::from(port.to_be()), chosen);
        }
        code.jump(pass);
        code.bind(chosen);
    }
}

/// Copies `length` bytes of the packet, from `register + offset` on, to this place in the stack; goes to `pass`
/// where the packet ends before.
pub fn load_bytes(
    code: &mut Assembler,
    register: Option<Reg>,
    offset: i32,
    to: i16,
    length: i32,
    pass: Label,
) {
    code.copy(Reg::R1, Reg::R6);
    match register {
        Some(register) => {
            code.copy(Reg::R2, register);
            if offset != 0 {
                code.alu(Alu::Add, Reg::R2, offset);
            }
        }
        None => code.set(Reg::R2, offset),
    }
    code.address(Reg::R3, Reg::R10, i32::from(to));
    code.set(Reg::R4, length);
    code.call(Helper::LoadBytes);
    code.jump_if(Reg::R0, When::Ne, 0, pass);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(port: Option<u16>, peers: &str) -> Selection {
        Selection {
            port,
            peers: Selection::peers(peers).unwrap(),
        }
    }

    #[test]
    fn addresses_and_ranges_are_read() {
        let all = Selection::peers("10.0.0.0/8, 2001:db8::/32,192.168.1.7 , ::1, ::ffff:1.2.3.4").unwrap();
        let words: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            ["10.0.0.0/8", "2001:db8::/32", "192.168.1.7", "::1", "1.2.3.4"]
        );
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "db.internal",
            "10.0.0.0/",
            "1.2.3.4,",
        ] {
            assert!(Selection::peers(wrong).is_err(), "{wrong}");
        }
        assert!(
            Selection::peers("10.0.0.1/8")
                .unwrap_err()
                .contains("write 10.0.0.0/8")
        );
        assert!(
            Selection::peers(&["10.0.0.1"; 17].join(","))
                .unwrap_err()
                .contains("at most 16")
        );
        assert!(
            Selection::peers("0.0.0.0/0,::/0")
                .unwrap()
                .iter()
                .all(|it| it.bits == 0)
        );
    }

    #[test]
    fn what_is_chosen_is_chosen() {
        let it = selection(Some(5432), "10.0.0.0/8,2001:db8::/33");
        assert!(it.holds("10.9.9.9".parse().unwrap(), &[40000, 5432]));
        assert!(it.holds("::ffff:10.9.9.9".parse().unwrap(), &[5432]));
        assert!(it.holds("2001:db8:7fff::".parse().unwrap(), &[5432]));
        for (peer, port) in [("11.0.0.1", 5432), ("10.0.0.1", 5433), ("2001:db8:8000::", 5432)] {
            assert!(!it.holds(peer.parse().unwrap(), &[port]), "{peer} {port}");
        }
        assert!(Selection::default().holds("::1".parse().unwrap(), &[1]));
        assert_eq!(it.words(), " with port 5432 at 10.0.0.0/8, 2001:db8::/33");
    }

    /// What the instructions compare is what [`Range::holds`] says, word for word.
    #[test]
    fn words_are_compared_as_ranges_are() {
        let chosen = |range: Range, address: Ipv6Addr| {
            let bytes = address.octets();
            range.words6().into_iter().all(|(which, mask, value)| {
                let at = 4 * usize::from(which);
                u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) & mask == value
            })
        };
        for range in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3",
            "::/0",
            "2001:db8::/33",
            "2001:db8::1",
        ] {
            let range = Range::parse(range).unwrap();
            for address in [
                "10.0.0.1",
                "10.1.2.3",
                "11.0.0.0",
                "2001:db8::1",
                "2001:db8:8000::",
                "2001:db8:7fff::2",
                "::1",
            ] {
                let address: IpAddr = address.parse().unwrap();
                let six = match address {
                    IpAddr::V4(it) => it.to_ipv6_mapped(),
                    IpAddr::V6(it) => it,
                };
                // `::/0` in IPv6's form covers IPv4 in it as well; there is no other difference.
                let expected = range.holds(address) || (range.bits == 0 && range.address.is_ipv6());
                assert_eq!(chosen(range, six), expected, "{range} {address}");
            }
        }
    }
}
