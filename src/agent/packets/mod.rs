//! Faults on the packets of a network namespace: found by rules of nftables, and lost, copied, reset or delayed.
//!
//! The rules are in a table that the agent's own socket owns ([`nft`]); delayed packets wait in a queue of another
//! ([`reader`]). Both end with their sockets, and so with the agent: nothing of it can stay behind. Another program
//! cannot delete such a table; ending the agent does. Hosts need neither `nft` nor `iptables` nor `tc`.
//!
//! Only the namespace's own packets come by, not those that it forwards.

mod action;
mod delay;
mod expression;
mod filter;
pub mod netlink;
pub mod nft;
pub mod queue;
mod reader;
mod space;

pub use action::{Action, queue_by};
pub use filter::{Filter, knocks};
pub use reader::{Pace, Reader};
pub use space::{Space, own_ports};
