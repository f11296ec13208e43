//! The words of a rule: each looks at a packet or does something with it, as nftables' own virtual machine runs them.
//!
//! A rule is read from left to right; a look that fails ends it. What one loads the next looks at.

use super::netlink::Attributes;

/// The first register, of sixteen bytes.
const REGISTER: u32 = 1;
/// Keeps what the first must make room for.
const SECOND_REGISTER: u32 = 2;
/// The register of verdicts.
const VERDICT: u32 = 0;

const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_GOTO: u32 = -4_i32 as u32;

/// The largest number of [`Expression::Random`], excluded: a millionth is the finest share.
pub const RANDOM_BELOW: u32 = 1_000_000;

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// The mark, in the host's order of bytes.
    Mark = 3,
    /// The name of the device that it came by, ended by a zero.
    InputName = 6,
    /// The name of the device that it leaves by, ended by a zero.
    OutputName = 7,
    /// IPv4 or IPv6, a byte.
    Family = 15,
    /// The number of its transport protocol, a byte.
    Transport = 16,
}

/// Where a packet's bytes are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The header of IP.
    Network = 1,
    /// The header of TCP, UDP, ICMP.
    Transport = 2,
}

/// How the kernel hands packets to a queue: its own way, or the way of iptables where that alone is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueBy {
    /// `queue`.
    Native,
    /// The target NFQUEUE.
    Compatible,
}

/// One word of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads what is known of the packet.
    Meta(Meta),
    /// Loads bytes of the packet.
    Payload {
        /// From where.
        base: Base,
        /// The first byte.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// Keeps these bits alone.
    Mask(Vec<u8>),
    /// Goes on if what was loaded is this.
    Is(Vec<u8>),
    /// Goes on if what was loaded, read as one number with the greatest byte first, is below this.
    IsBelow(Vec<u8>),
    /// Loads a random number, the greatest byte first.
    Random,
    /// Counts in the table's counter of this name.
    Count(&'static str),
    /// The packet goes on its way.
    Accept,
    /// The packet ends here; who sent it from this host is told (EPERM).
    Drop,
    /// The packet goes through another chain.
    GoTo(&'static str),
    /// The packet ends here and its sender gets a TCP RST.
    Reset,
    /// The packet goes to a queue; where nobody holds the queue it goes on its way.
    Queue(u16, QueueBy),
    /// A copy of the packet goes the way of the packet, with this mark, so that a rule can tell it apart.
    Duplicate {
        /// The mark.
        mark: u32,
        /// Where the header of IP has the target's address.
        offset: u32,
        /// How many bytes it has.
        length: u32,
    },
}

impl Expression {
    /// As the kernel wants it: one expression or two.
    pub fn encode(&self) -> Vec<Attributes> {
        let none = Attributes::new;
        let value = |bytes: &[u8]| Attributes::new().bytes(DATA_VALUE, bytes);
        let verdict = |verdict: &Attributes| {
            let data = Attributes::new().nest(DATA_VERDICT, verdict);
            named("immediate", &none().be32(1, VERDICT).nest(2, &data))
        };
        let compare = |operator: u32, with: &[u8]| {
            let data = none().be32(1, REGISTER).be32(2, operator);
            named("cmp", &data.nest(3, &value(with)))
        };
        let one = match self {
            Self::Meta(what) => named("meta", &none().be32(1, REGISTER).be32(2, *what as u32)),
            Self::Payload { base, offset, length } => {
                let data = none().be32(1, REGISTER).be32(2, *base as u32);
                named("payload", &data.be32(3, *offset).be32(4, *length))
            }
            Self::Mask(mask) => {
                let data = none().be32(1, REGISTER).be32(2, REGISTER);
                let data = data.be32(3, mask.len() as u32).nest(4, &value(mask));
                named("bitwise", &data.nest(5, &value(&vec![0; mask.len()])))
            }
            Self::Is(wanted) => compare(0, wanted),
            Self::IsBelow(bound) => compare(2, bound),
            Self::Random => {
                // Of kind 1: random. It comes in the host's order of bytes and is compared byte by byte.
                let number = none().be32(1, REGISTER).be32(2, RANDOM_BELOW).be32(3, 1);
                let order = none().be32(1, REGISTER).be32(2, REGISTER).be32(3, 1);
                let order = order.be32(4, 4).be32(5, 4);
                return vec![named("numgen", &number), named("byteorder", &order)];
            }
            // Of kind 1: a counter.
            Self::Count(name) => named("objref", &none().be32(1, 1).text(2, name)),
            Self::Accept => verdict(&none().be32(1, NF_ACCEPT)),
            Self::Drop => verdict(&none().be32(1, NF_DROP)),
            Self::GoTo(chain) => verdict(&none().be32(1, NFT_GOTO).text(2, chain)),
            // Of kind 1: a TCP RST.
            Self::Reset => named("reject", &none().be32(1, 1)),
            Self::Queue(number, QueueBy::Native) => {
                let be16 = |value: u16| value.to_be_bytes();
                // One queue; flag 1: bypass.
                let data = none().bytes(1, &be16(*number)).bytes(2, &be16(1));
                named("queue", &data.bytes(3, &be16(1)))
            }
            Self::Queue(number, QueueBy::Compatible) => {
                // struct xt_NFQ_info_v3: number, how many, flags (1: bypass); aligned to eight bytes.
                let fields = [*number, 1, 1, 0];
                let info: Vec<u8> = fields.iter().flat_map(|it| it.to_ne_bytes()).collect();
                let data = none().text(1, "NFQUEUE").be32(2, 3).bytes(3, &info);
                named("target", &data)
            }
            Self::Duplicate { mark, offset, length } => {
                let load = none().be32(1, REGISTER).nest(2, &value(&mark.to_ne_bytes()));
                let write = |from| named("meta", &none().be32(2, Meta::Mark as u32).be32(3, from));
                let keep = none().be32(1, SECOND_REGISTER).be32(2, Meta::Mark as u32);
                let target = none().be32(1, REGISTER).be32(2, Base::Network as u32);
                return vec![
                    named("meta", &keep),
                    named("immediate", &load),
                    write(REGISTER),
                    named("payload", &target.be32(3, *offset).be32(4, *length)),
                    named("dup", &none().be32(1, REGISTER)),
                    write(SECOND_REGISTER),
                ];
            }
        };
        vec![one]
    }
}

fn named(name: &str, data: &Attributes) -> Attributes {
    let expression = Attributes::new().text(EXPRESSION_NAME, name);
    expression.nest(EXPRESSION_DATA, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `nft --debug=mnl` shows them.
    #[test]
    fn a_queue_and_a_share_have_the_bytes_that_the_kernel_expects() {
        let info = [7, 0, 1, 0, 1, 0, 0, 0];
        let queue = Attributes::new().text(1, "NFQUEUE").be32(2, 3).bytes(3, &info);
        let compatible = Expression::Queue(7, QueueBy::Compatible).encode();
        assert_eq!(compatible, [named("target", &queue)]);
        assert_eq!(Expression::Random.encode().len(), 2);
        let goto = Attributes::new()
            .bytes(1, &[0xff, 0xff, 0xff, 0xfc])
            .text(2, "hit");
        let data = Attributes::new().nest(DATA_VERDICT, &goto);
        let goto = named("immediate", &Attributes::new().be32(1, 0).nest(2, &data));
        assert_eq!(Expression::GoTo("hit").encode(), [goto]);
    }
}
