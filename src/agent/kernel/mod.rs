//! Faults inside the kernel, by eBPF, on the processes of one cgroup and nobody else.
//!
//! A program is a few instructions written with [`asm`], loaded and attached by [`bpf`] to the victim's cgroup
//! (version 2) by a link that this process holds: when the fault is reverted, or the agent ends in whatever way,
//! the kernel takes the program away. Rules (ports, addresses) are constants in the instructions ([`select`]), what
//! changes while a fault is on (its strength) and what is counted are maps of a few numbers. What is too much for
//! a program, such as reading DNS, is done by a responder in the agent, to which a program redirects.
//!
//! | file | what |
//! | --- | --- |
//! | [`asm`] | instructions by name, and their listing |
//! | [`bpf`] | bpf(2), the only `unsafe` |
//! | [`select`] | port and addresses as instructions |
//! | [`refuse`], [`discard`], [`redirect`] | the programs |
//! | [`sockets`] | lists and resets open connections (`NETLINK_SOCK_DIAG`) |
//! | [`responder`], [`dns`] | what a program leads to, in the agent |
//! | [`netns`] | work inside the victim's network namespace |
//! | [`on_cgroup`] | what a fault holds while it is on, and how it is seen to be gone |

pub mod asm;
pub mod bpf;
pub mod discard;
pub mod dns;
pub mod netns;
pub mod on_cgroup;
pub mod redirect;
pub mod refuse;
pub mod responder;
pub mod select;
pub mod sockets;

use std::io;
use std::sync::OnceLock;

use asm::{Assembler, Helper, Label, Reg, Size, When};
use bpf::{Cells, Program};

use crate::faults::NotHere;
use crate::targets::cgroups;

/// The strength in the first cell of the settings: of 2³² dice, so many hit.
const ALL_DICE: f64 = 4_294_967_296.0;

/// What the first two counters count, in every program.
const SEEN: i16 = 0;
const HIT: i16 = 8;

/// Programs before they are loaded, and where each is to run.
pub type Programs = Result<Vec<(bpf::Hook, asm::Code)>, asm::AsmError>;

/// The settings for a share within (0, 1].
pub fn dice(share: f64) -> [u64; 1] {
    [(share * ALL_DICE) as u64]
}

/// Counts one more seen, throws a die, goes to `pass` or counts one more hit. R1 to R5 are lost; R7 is then the
/// address of the counters.
fn throw_dice(code: &mut Assembler, settings: &Cells, counters: &Cells, pass: Label) {
    code.note("one more seen; is it within the share?");
    code.map_value(Reg::R7, counters.fd());
    code.set(Reg::R1, 1);
    code.atomic_add(Reg::R7, SEEN, Reg::R1);
    code.call(Helper::Random);
    code.map_value(Reg::R1, settings.fd());
    code.load(Size::Dw, Reg::R1, Reg::R1, 0);
    code.jump_if_reg(Reg::R0, When::Ge, Reg::R1, pass);
    code.set(Reg::R1, 1);
    code.atomic_add(Reg::R7, HIT, Reg::R1);
}

/// Whether programs of this room can be loaded here; asked of the kernel once.
pub fn available() -> Result<(), NotHere> {
    static KNOWN: OnceLock<Result<(), NotHere>> = OnceLock::new();
    KNOWN.get_or_init(probe).clone()
}

fn probe() -> Result<(), NotHere> {
    if !bpf::has_links() {
        return Err(NotHere {
            why: "this kernel has no links for eBPF programs, or forbids bpf(2) altogether: a fault would outlive the agent".to_owned(),
            remedy: "Linux 5.18 or later with CONFIG_CGROUP_BPF, outside a sandbox that filters bpf(2)".to_owned(),
        });
    }
    try_both().map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run the agent as root or with CAP_BPF and CAP_NET_ADMIN, on a host whose lockdown allows eBPF"
            }
            _ => "Linux 5.18 or later with CONFIG_CGROUP_BPF",
        };
        NotHere {
            why: format!("the kernel does not take an eBPF program: {error}"),
            remedy: remedy.to_owned(),
        }
    })?;
    if cgroups::root().is_none() {
        return Err(NotHere {
            why: "no cgroup hierarchy of version 2 is mounted: there is no group of processes to attach to"
                .to_owned(),
            remedy: cgroups::NEEDS.to_owned(),
        });
    }
    Ok(())
}

/// Loads a program of each kind, and lets it go.
fn try_both() -> io::Result<()> {
    let (settings, counters) = (Cells::new(1)?, Cells::new(2)?);
    let everything = select::Selection::default();
    for (hook, code) in refuse::programs(&everything, &settings, &counters)
        .and_then(|it| {
            Ok([
                it,
                discard::programs(&everything, discard::Which::BOTH, &settings, &counters)?,
            ]
            .concat())
        })
        .map_err(io::Error::other)?
    {
        Program::load(hook, "firedrill_probe", &code)?;
    }
    Ok(())
}
