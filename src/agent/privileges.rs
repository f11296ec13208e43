//! What the agent may do beyond its user, and what it gives up for good.
//!
//! Capabilities are a thread's: they are given up by the first thread, before there is a second. What is not in the
//! bounding set no child gets back either. With `no_new_privs` a program that is started gets no more than who starts
//! it has, root's and set-uid ones included: so the proxy, which may no longer shrink its bounding set, is left with
//! none.

use caps::{CapSet, Capability, CapsHashSet};
use firedrill_wire::Route;

/// Ports below need a capability.
const FREE_PORTS: u16 = 1024;

/// Families of faults inside the kernel.
const OF_THE_KERNEL: [&str; 3] = ["network.", "dns.", "tls."];

/// What these faults and these ports need.
pub fn needed<'a>(faults: impl Iterator<Item = &'a str>, ports: impl Iterator<Item = u16>) -> CapsHashSet {
    let mut needed = CapsHashSet::new();
    for fault in faults {
        if fault.starts_with("process.") {
            // To stop, to trace and to end processes of other users.
            needed.insert(Capability::CAP_SYS_PTRACE);
            needed.insert(Capability::CAP_KILL);
        }
        if OF_THE_KERNEL.iter().any(|family| fault.starts_with(family)) {
            // To load programs into the kernel, and to reset connections; both also in a container's network.
            needed.insert(Capability::CAP_BPF);
            needed.insert(Capability::CAP_NET_ADMIN);
            needed.insert(Capability::CAP_SYS_ADMIN);
            needed.insert(Capability::CAP_SYS_PTRACE);
        }
        if fault.starts_with("packet.") {
            // To change packets; to see and to enter the network namespaces of other processes.
            needed.insert(Capability::CAP_NET_ADMIN);
            needed.insert(Capability::CAP_SYS_PTRACE);
            needed.insert(Capability::CAP_SYS_ADMIN);
        }
        if fault == "fd.exhaust" || fault == "memory.oom" {
            // To see and to limit processes of other users, and to set them back.
            needed.insert(Capability::CAP_SYS_PTRACE);
            needed.insert(Capability::CAP_SYS_RESOURCE);
        }
        if fault == "memory.oom" {
            // The file of a process' score is its user's.
            needed.insert(Capability::CAP_DAC_OVERRIDE);
        }
    }
    for port in ports {
        if (1..FREE_PORTS).contains(&port) {
            needed.insert(Capability::CAP_NET_BIND_SERVICE);
        }
    }
    needed
}

/// The ports that a proxy of these routes listens on.
pub fn route_ports(routes: &[Route]) -> impl Iterator<Item = u16> {
    let port = |route: &Route| route.listen.rsplit_once(':')?.1.parse().ok();
    routes.iter().filter_map(port)
}

/// Keeps these of the capabilities it has, and gives up all others for good, its children's too.
pub fn keep(wanted: &CapsHashSet) -> anyhow::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let permitted = caps::read(None, CapSet::Permitted)?;
    // Only who may change it can: for everybody else there is nothing in it that `no_new_privs` would give back.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(wanted) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    let kept: CapsHashSet = permitted.intersection(wanted).copied().collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

/// What this thread has, in words, read from the kernel.
pub fn words() -> String {
    let no_new = nix::sys::prctl::get_no_new_privs().unwrap_or(false);
    let mut kept: Vec<_> = match caps::read(None, CapSet::Permitted) {
        Ok(kept) => kept.into_iter().map(|it| it.to_string()).collect(),
        Err(error) => return format!("the kernel does not tell what it may do: {error}"),
    };
    kept.sort();
    match (no_new, kept.is_empty()) {
        (true, true) => "it has no capability and can get none".to_owned(),
        (true, false) => format!(
            "of all capabilities it has kept {}, and can get no other",
            kept.join(", ")
        ),
        (false, true) => "it has no capability".to_owned(),
        (false, false) => format!("it has the capabilities {}", kept.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_ports_need_what_they_need() {
        let of = |faults: &[&str], ports: &[u16]| {
            let mut all: Vec<_> = needed(faults.iter().copied(), ports.iter().copied())
                .into_iter()
                .map(|it| it.to_string())
                .collect();
            all.sort();
            all
        };
        assert!(of(&["http.latency", "cpu.burn", "noop"], &[0, 7431, 65535]).is_empty());
        assert_eq!(of(&["process.pause"], &[]), ["CAP_KILL", "CAP_SYS_PTRACE"]);
        assert_eq!(
            of(&["network.loss"], &[]),
            ["CAP_BPF", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]
        );
        assert_eq!(
            of(&["packet.loss"], &[]),
            ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]
        );
        assert_eq!(of(&[], &[443]), ["CAP_NET_BIND_SERVICE"]);
    }
}
