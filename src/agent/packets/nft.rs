//! One table of nftables that this process owns: it ends with the socket that made it, and thus with the agent.
//!
//! A table has an `input`, a `forward` and an `output` chain, which find the packets that are meant, and a chain `hit`, which
//! does something with them. No program is run for it: hosts need neither `nft` nor `iptables`.

use nix::errno::Errno;

use super::expression::Expression;
use super::netlink::{APPEND, Attributes, CREATE, Message, Refused, Socket, attribute, be64};

const SUBSYSTEM: u8 = 10;
const NEW_TABLE: u8 = 0;
const GET_TABLE: u8 = 1;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const NEW_RULE: u8 = 6;
const DELETE_RULE: u8 = 8;
const NEW_OBJECT: u8 = 18;
const GET_OBJECT: u8 = 19;

/// Names the table in every kind of message but of the table itself, where it is the name as well.
const TABLE: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const TABLE_IS_OWNED: u32 = 2;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const OBJECT_DATA: u16 = 4;
const OBJECT_IS_COUNTER: u32 = 1;
const COUNTER_PACKETS: u16 = 2;

const NF_ACCEPT: u32 = 1;

/// After the filters of the host itself, which have 0: what they keep out is not hit and not counted.
const PRIORITY: u32 = 10;

/// The kernel takes up to 255 bytes; people read it.
const MAX_NAME: usize = 64;

/// The chain that the packets that are meant go through.
pub const HIT: &str = "hit";

/// The family of a table's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Both = 1,
    /// IPv4.
    V4 = 2,
    /// IPv6.
    V6 = 10,
}

/// A place that the packets of a namespace come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets for sockets of this namespace.
    Input = 1,
    /// Packets of others that it passes on.
    Forward = 2,
    /// Packets from sockets of this namespace.
    Output = 3,
}

impl Hook {
    /// The name of its chain.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

/// One rule: what it looks at, and what it does.
pub type Rule = Vec<Expression>;

/// The rules of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those that find the packets.
    pub find: Vec<(Hook, Rule)>,
    /// Those of the chain [`HIT`].
    pub hit: Vec<Rule>,
}

/// The counters of every table, by name.
pub const COUNTERS: [&str; 2] = [MATCHED, HIT_COUNT];
/// Counts packets that were meant.
pub const MATCHED: &str = "matched";
/// Counts packets that something was done with.
pub const HIT_COUNT: &str = "hit";

/// A table's name: of its injection, in letters that every tool prints.
pub fn name_of(epoch: u64, injection: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let head = format!("firedrill_{epoch}_");
    let name: String = injection.chars().filter(|c| plain(*c)).collect();
    if name == injection && head.len() + name.len() <= MAX_NAME {
        return head + &name;
    }
    // Two injections never share one: what was cut out is in the hash.
    let hash = blake3::hash(injection.as_bytes()).to_hex();
    let room = MAX_NAME - head.len() - 17;
    let cut: String = name.chars().take(room).collect();
    format!("{head}{cut}_{}", &hash[..16])
}

/// A table, held.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
    name: String,
    families: &'static [Family],
}

impl Table {
    /// Makes it, in the network namespace of this thread: one for each family, all in one step.
    pub fn begin(
        name: &str,
        families: &'static [Family],
        rules: impl Fn(Family) -> Rules,
    ) -> Result<Self, Refused> {
        let mut table = Self {
            socket: Socket::open()?,
            name: name.to_owned(),
            families,
        };
        let mut messages = Vec::new();
        for family in families {
            messages.extend(table.store(*family));
            messages.extend(table.hooks(*family));
            messages.extend(table.rules(*family, &rules(*family)));
        }
        table.socket.transact(&messages)?;
        Ok(table)
    }

    /// Asks the kernel to make a table with these rules and take it away again in one step, which nobody sees:
    /// whether it could. No packet ever comes by: it has no hooks.
    pub fn rehearse(families: &'static [Family], rules: impl Fn(Family) -> Vec<Rule>) -> Result<(), Refused> {
        let mut table = Self {
            socket: Socket::open()?,
            name: format!("firedrill_try_{}", std::process::id()),
            families,
        };
        let mut messages = Vec::new();
        for family in families {
            let hit = rules(*family);
            let find = Vec::new();
            messages.extend(table.store(*family));
            messages.extend(table.rules(*family, &Rules { find, hit }));
            messages.push(table.message("its removal", DELETE_TABLE, 0, *family, table.named()));
        }
        table.socket.transact(&messages)
    }

    /// Other rules, in one step. The counters go on.
    pub fn change(&mut self, rules: impl Fn(Family) -> Rules) -> Result<(), Refused> {
        let mut messages = Vec::new();
        for family in self.families {
            messages.push(self.message("the removal of rules", DELETE_RULE, 0, *family, self.named()));
            messages.extend(self.rules(*family, &rules(*family)));
        }
        self.socket.transact(&messages)
    }

    /// How many packets each of [`COUNTERS`] has seen.
    pub fn counts(&mut self) -> Result<[u64; 2], Refused> {
        let mut counts = [0; 2];
        for family in self.families {
            let asked = self.message("its counters", GET_OBJECT, 0, *family, self.named());
            for object in self.socket.list(&asked)? {
                let name = attribute(&object, OBJECT_NAME).unwrap_or_default();
                let data = attribute(&object, OBJECT_DATA).unwrap_or_default();
                let is = |wanted: &str| name.strip_suffix(&[0]) == Some(wanted.as_bytes());
                if text(&object, TABLE) != self.name {
                    continue;
                }
                for (count, wanted) in counts.iter_mut().zip(COUNTERS) {
                    if is(wanted) {
                        *count += be64(data, COUNTER_PACKETS);
                    }
                }
            }
        }
        Ok(counts)
    }

    /// Takes it away. That it is gone already is well.
    pub fn end(&mut self) -> Result<(), Refused> {
        let messages: Vec<_> = self
            .families
            .iter()
            .map(|family| self.message("its removal", DELETE_TABLE, 0, *family, self.named()))
            .collect();
        match self.socket.transact(&messages) {
            Err(refused) if refused.errno == Errno::ENOENT => Ok(()),
            ended => ended,
        }
    }

    fn named(&self) -> Attributes {
        Attributes::new().text(TABLE, &self.name)
    }

    fn message(&self, what: &str, kind: u8, flags: u16, family: Family, attributes: Attributes) -> Message {
        Message {
            what: format!("table {}: {what}", self.name),
            subsystem: SUBSYSTEM,
            kind,
            flags,
            family: family as u8,
            resource: 0,
            attributes,
        }
    }

    /// The table, its counters and the chain that hits.
    fn store(&self, family: Family) -> Vec<Message> {
        let make = |what: &str, kind, attributes| self.message(what, kind, CREATE, family, attributes);
        let owned = self.named().be32(TABLE_FLAGS, TABLE_IS_OWNED);
        let mut messages = vec![make("the table itself", NEW_TABLE, owned)];
        for counter in COUNTERS {
            let attributes = self.named().text(OBJECT_NAME, counter);
            let attributes = attributes.be32(OBJECT_TYPE, OBJECT_IS_COUNTER);
            let attributes = attributes.nest(OBJECT_DATA, &Attributes::new());
            messages.push(make("a counter", NEW_OBJECT, attributes));
        }
        messages.push(make("a chain", NEW_CHAIN, self.named().text(CHAIN_NAME, HIT)));
        messages
    }

    /// The chains that packets come by.
    fn hooks(&self, family: Family) -> [Message; 3] {
        [Hook::Input, Hook::Forward, Hook::Output].map(|hook| {
            let place = Attributes::new().be32(1, hook as u32).be32(2, PRIORITY);
            let attributes = self.named().text(CHAIN_NAME, hook.chain());
            let attributes = attributes.nest(CHAIN_HOOK, &place).be32(CHAIN_POLICY, NF_ACCEPT);
            let attributes = attributes.text(CHAIN_TYPE, "filter");
            self.message("a hook", NEW_CHAIN, CREATE, family, attributes)
        })
    }

    fn rules(&self, family: Family, rules: &Rules) -> Vec<Message> {
        let rule = |chain: &str, rule: &Rule| {
            let mut list = Attributes::new();
            for expression in rule.iter().flat_map(Expression::encode) {
                list = list.nest(LIST_ELEMENT, &expression);
            }
            let attributes = self.named().text(RULE_CHAIN, chain);
            let what = format!("rule {rule:?}");
            let attributes = attributes.nest(RULE_EXPRESSIONS, &list);
            self.message(&what, NEW_RULE, APPEND, family, attributes)
        };
        let find = rules.find.iter().map(|(hook, it)| rule(hook.chain(), it));
        find.chain(rules.hit.iter().map(|it| rule(HIT, it))).collect()
    }
}

fn text(object: &[u8], kind: u16) -> &str {
    let bytes = attribute(object, kind).unwrap_or_default();
    std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).unwrap_or_default()
}

/// Another socket than the one that owns a table, to ask what tables there are in the network namespace that it was
/// opened in. Kept open: a socket that closes while the kernel still tidies up after a table waits for that.
#[derive(Debug)]
pub struct Asker(Socket);

impl Asker {
    /// Opens it.
    pub fn new() -> Result<Self, Refused> {
        Socket::open().map(Self)
    }

    /// The names of all tables.
    pub fn tables(&mut self) -> Result<Vec<String>, Refused> {
        let all = ask("the list of tables", 0, Attributes::new());
        let found = self.0.list(&all)?;
        Ok(found.iter().map(|table| text(table, TABLE).to_owned()).collect())
    }

    /// Whether there is one of that name.
    pub fn knows(&mut self, name: &str, families: &[Family]) -> Result<bool, Refused> {
        for family in families {
            let named = Attributes::new().text(TABLE, name);
            match self.0.request(&ask("a table", *family as u8, named)) {
                Ok(()) => return Ok(true),
                Err(refused) if refused.errno == Errno::ENOENT => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(false)
    }
}

fn ask(what: &str, family: u8, attributes: Attributes) -> Message {
    Message {
        what: what.to_owned(),
        subsystem: SUBSYSTEM,
        kind: GET_TABLE,
        flags: 0,
        family,
        resource: 0,
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(name_of(7, "inj-1"), "firedrill_7_inj-1");
        assert_ne!(name_of(7, "a b"), name_of(7, "a  b"));
        assert!(name_of(7, "a b").starts_with("firedrill_7_ab_"));
    }

    proptest! {
        #[test]
        fn every_name_fits_and_is_plain(epoch in any::<u64>(), id in ".{0,200}") {
            let name = name_of(epoch, &id);
            prop_assert!(name.len() <= MAX_NAME && name.is_ascii(), "{name}");
            let head = format!("firedrill_{epoch}_");
            prop_assert!(name.starts_with(&head));
        }
    }
}
