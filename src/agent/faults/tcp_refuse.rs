//! `tcp.refuse`: the kernel refuses new connections to the route; open ones go on.
//!
//! Whom it refuses it does not tell: they are counted by a rule of nftables, in a table that ends with this process,
//! where the agent may make one.

use std::net::SocketAddr;

use firedrill_catalogue::Parameters;
use firedrill_ward::Key;

use crate::packets::knocks;
use crate::packets::nft::{self, Family, Table};
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(_parameters: &Parameters) -> RuleSpec {
    RuleSpec::TcpRefuse {}
}

/// Who knocks at a port that refuses.
#[derive(Debug)]
pub struct Knocks(Table);

impl Knocks {
    /// From now on they are counted. The error says why they cannot be.
    pub fn at(port: SocketAddr, key: &Key) -> Result<Self, String> {
        // Another agent of this host may have a drill and an injection of the same names.
        let name = nft::name_of(key.epoch.0, key.id.as_str());
        let name = format!("{name}_knocks_{}", std::process::id());
        let rules = |_| knocks(port.port());
        Table::begin(&name, &[Family::Both], rules)
            .map(Self)
            .map_err(|refused| refused.to_string())
    }

    /// How many; none: the kernel does not tell any more.
    pub fn count(&mut self) -> Option<u64> {
        self.0.counts().ok().map(|[matched, _]| matched)
    }
}
