//! What a process may do on this host, read from the kernel, with what would help where it may not: for `doctor`.

use std::path::{Path, PathBuf};

use caps::Capability;

use crate::state::read_small;
use crate::targets::cgroups;

/// What is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its effective user.
    uid: Option<u32>,
    /// Its permitted capabilities, a bit each.
    permitted: Option<u64>,
    no_new_privs: Option<bool>,
    /// `kernel.yama.ptrace_scope`; `None`: the kernel has no such rule.
    ptrace_scope: Option<u8>,
    /// Where cgroups of version 2 are.
    cgroups: Option<PathBuf>,
}

/// A capability, and what the agent does with it.
const NEEDED: &[(Capability, &str)] = &[
    (
        Capability::CAP_SYS_PTRACE,
        "process.pause on processes of other users",
    ),
    (Capability::CAP_KILL, "process.kill on processes of other users"),
    (
        Capability::CAP_BPF,
        "faults inside the kernel (network., dns., tls.)",
    ),
    (
        Capability::CAP_NET_ADMIN,
        "faults inside the kernel (network., dns., tls.) and on packets (packet.)",
    ),
    (
        Capability::CAP_SYS_ADMIN,
        "packet., network.reset, dns. and tls. faults in a network namespace of its own, as containers have",
    ),
    (
        Capability::CAP_SYS_RESOURCE,
        "fd.exhaust on processes of other users",
    ),
    (Capability::CAP_NET_BIND_SERVICE, "listening on ports below 1024"),
];

impl Facts {
    /// Of this process, as the caller may see it.
    pub fn of(pid: &str) -> Self {
        let status = read_small(Path::new(&format!("/proc/{pid}/status"))).unwrap_or_default();
        let mut facts = Self::of_status(&status);
        let scope = read_small(Path::new("/proc/sys/kernel/yama/ptrace_scope")).ok();
        facts.ptrace_scope = scope.and_then(|text| text.trim().parse().ok());
        facts.cgroups = cgroups::root();
        facts
    }

    fn of_status(status: &str) -> Self {
        let field = |name: &str, place: usize| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().nth(place).map(str::to_owned)
        };
        Self {
            uid: field("Uid:", 1).and_then(|it| it.parse().ok()),
            permitted: field("CapPrm:", 0).and_then(|it| u64::from_str_radix(&it, 16).ok()),
            no_new_privs: field("NoNewPrivs:", 0).map(|it| it == "1"),
            ..Self::default()
        }
    }

    fn has(&self, capability: Capability) -> bool {
        self.permitted
            .is_some_and(|mask| mask & capability.bitmask() != 0)
    }

    /// A line each: what, and how it is with it.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![("user".to_owned(), self.user())];
        lines.extend(
            NEEDED
                .iter()
                .map(|(capability, what)| (capability.to_string(), self.capability(*capability, what))),
        );
        lines.push(("ptrace scope".to_owned(), self.ptrace()));
        lines.push((
            "cgroup v2".to_owned(),
            match &self.cgroups {
                Some(root) => format!(
                    "at {}: faults inside the kernel hit the processes of one",
                    root.display()
                ),
                None => format!(
                    "not mounted: no faults inside the kernel (network., dns., tls.); {}",
                    cgroups::NEEDS
                ),
            },
        ));
        lines
    }

    fn user(&self) -> String {
        let gains = match self.no_new_privs {
            Some(true) => "; it can get no more than it has (no_new_privs)",
            _ => "",
        };
        match self.uid {
            None => "not known: the kernel does not tell".to_owned(),
            Some(0) => format!("root{gains}"),
            Some(uid) => format!(
                "user {uid}, not root: its own processes, its own proxy, its own children{gains}; for other users' processes run it as root (`firedrill-agent install`)"
            ),
        }
    }

    fn capability(&self, capability: Capability, what: &str) -> String {
        if self.has(capability) {
            return format!("has it: {what}");
        }
        let name = capability.to_string().to_lowercase();
        format!(
            "has it not: no {what}; an agent drops it where its policy or its ports do not need it, else run it as root, or `setcap {name}+ep` on the program"
        )
    }

    fn ptrace(&self) -> String {
        let capable = self.has(Capability::CAP_SYS_PTRACE);
        let remedy = "give it CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`";
        match self.ptrace_scope {
            None => "no such rule on this kernel".to_owned(),
            Some(0) => "0: processes of the same user may be paused".to_owned(),
            Some(scope @ 1..=2) if capable => {
                format!("{scope}: only with CAP_SYS_PTRACE, which it has")
            }
            Some(1) => {
                format!("1: only children may be paused without CAP_SYS_PTRACE, and it has it not; {remedy}")
            }
            Some(2) => format!("2: only with CAP_SYS_PTRACE, and it has it not; {remedy}"),
            Some(scope) => format!(
                "{scope}: nobody may pause a process until this host is booted with another kernel.yama.ptrace_scope"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "Name:\tfiredrill-agent\nUid:\t0\t0\t0\t0\nCapPrm:\t0000000000080020\nNoNewPrivs:\t1\n";
    const USER: &str = "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t0000000000000000\nNoNewPrivs:\t0\n";

    fn line(facts: &Facts, name: &str) -> String {
        let lines = facts.lines();
        lines.into_iter().find(|(it, _)| it == name).unwrap().1
    }

    #[test]
    fn what_it_has_and_has_not_is_told_with_a_remedy() {
        let root = Facts::of_status(ROOT);
        assert!(line(&root, "user").starts_with("root; it can get no more"));
        assert!(line(&root, "CAP_KILL").starts_with("has it: process.kill"));
        assert!(line(&root, "CAP_SYS_PTRACE").starts_with("has it: process.pause"));
        assert!(line(&root, "CAP_NET_BIND_SERVICE").contains("setcap cap_net_bind_service+ep"));
        let user = Facts::of_status(USER);
        assert!(
            line(&user, "user").contains("user 1000, not root") && !line(&user, "user").contains("no_new")
        );
        assert!(line(&user, "CAP_KILL").starts_with("has it not: no process.kill"));
        assert!(line(&Facts::default(), "user").contains("not known"));
    }

    #[test]
    fn the_rule_on_ptrace_is_told_for_who_asks() {
        for (scope, of_root, of_user) in [
            (None, "no such rule", "no such rule"),
            (Some(0), "same user", "same user"),
            (Some(1), "which it has", "only children"),
            (Some(2), "which it has", "sysctl"),
            (Some(3), "nobody", "nobody"),
        ] {
            for (status, words) in [(ROOT, of_root), (USER, of_user)] {
                let facts = Facts {
                    ptrace_scope: scope,
                    ..Facts::of_status(status)
                };
                let told = line(&facts, "ptrace scope");
                assert!(told.contains(words), "{scope:?}: {told}");
            }
        }
    }

    #[test]
    fn of_this_process_the_kernel_tells() {
        let facts = Facts::of("self");
        assert_eq!(facts.uid, Some(nix::unistd::geteuid().as_raw()));
        assert!(facts.permitted.is_some() && facts.no_new_privs.is_some());
    }
}
