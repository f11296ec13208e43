//! A page a family of faults, for people: what each does, what it needs, how it is undone. Made from the table, so
//! that no page says what the agent does not do. The pages are in `assets/docs/faults/`.

use std::fmt::Write as _;

use crate::{FAULTS, FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo, quantity};

/// Faults that work by the same means.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The page's file name, without `.md`.
    pub name: &'static str,
    /// Its first line.
    pub title: &'static str,
    /// What the names of its faults begin with, before the point.
    pub prefixes: &'static [&'static str],
    /// By what means, and what those need.
    pub needs: &'static str,
}

/// Every family, in the order to show them.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "http",
        title: "Requests: `http.*` and `grpc.*`",
        prefixes: &["http", "grpc"],
        needs: "The agent's proxy does it, between a client and an upstream: start the agent with a route (`firedrill-agent serve --route web=127.0.0.1:8080=127.0.0.1:9080:http`) and let the client call the route. HTTP/1.1, and HTTP/2 with prior knowledge (gRPC). Needs no privilege. When the agent dies the proxy drops every rule and passes requests on unchanged.\n\nWithout a route: name a service (its unit, container or cgroup, or a process in it) and the `port` that it calls. While the fault is on, an eBPF program on its cgroup leads its new connections to that port through the agent, in its own network namespace and without its notice; that port must carry HTTP in the clear. Connections that are open already are not hit, unless `established = \"reset\"` closes them. After the revert new connections go straight, and those that were led go on through the agent, unchanged, until they end; if the agent dies they break. A destination that cannot be reached is seen as 502 instead of a refused connection. What it needs is what the faults on [one service's network](network.md) need; an agent keeps those rights only if its policy allows a `network.`, `dns.` or `tls.` fault. Several may be on the same service and port at the same time, each kind once: all of them are on the connections of the first, and when that ends, on those of the next.",
    },
    Family {
        name: "tcp",
        title: "Connections: `tcp.*`",
        prefixes: &["tcp"],
        needs: "The agent's proxy does it, on a route of any kind: `--route db=127.0.0.1:5432=127.0.0.1:15432:tcp`. Needs no privilege. `tcp.latency` and `tcp.bandwidth` also take a service and a port without a route, as [requests](http.md) do; `network.refuse` and `network.reset` are there for the others.",
    },
    Family {
        name: "network",
        title: "One service's network: `network.*`, `dns.*`, `tls.*`",
        prefixes: &["network", "dns", "tls"],
        needs: "Small eBPF programs on the victim's cgroup do it, so that only the victim is hit; no route, no restart. They hang on links that the agent's process holds and nobody pins: the kernel takes them away when the agent dies. Needs Linux 5.18 or later, cgroups of version 2, a cgroup that is the victim's own (a systemd unit or a container has one), and root, or CAP_BPF and CAP_NET_ADMIN; for `network.reset`, `dns.*` and `tls.*` on a victim with a network namespace of its own also CAP_SYS_ADMIN and CAP_SYS_PTRACE. `dns.*` hits what is asked of a resolver on port 53: not `/etc/hosts`, caches, or DNS over TLS or HTTPS.",
    },
    Family {
        name: "packet",
        title: "A whole network namespace: `packet.*`",
        prefixes: &["packet"],
        needs: "An nftables table that belongs to the agent's socket does it, and a queue from the kernel to the agent: both go when the agent dies, and packets then pass. Everything in the network namespace that fits the filter is hit, the agent's own connections excepted. Packets that the namespace passes on between others, as a host does for its containers, are hit with `direction = \"through\"`. Needs Linux 5.12 or later with nftables, CAP_NET_ADMIN, and for delays the kernel's NFQUEUE. netem, tbf and htb are not used, also where the kernel has them: they would stay when the agent is killed.",
    },
    Family {
        name: "resource",
        title: "What the host has: `cpu.*`, `memory.*`, `disk.*`, `fd.*`",
        prefixes: &["cpu", "memory", "disk", "fd"],
        needs: "Children of the agent take what there is, and die with it: no privilege is needed for those. Limits of a victim's cgroup or process need root; what was there before is on disk before anything is changed, and is put back by the agent, its keeper, its next life or `firedrill-agent abort`, whichever comes first, unless somebody else has changed it since.",
    },
    Family {
        name: "process",
        title: "Single processes: `process.*`",
        prefixes: &["process"],
        needs: "For processes of other users: root, or CAP_SYS_PTRACE (pause) and CAP_KILL (kill). The agent, its family, process 1 and threads of the kernel are never hit.",
    },
    Family {
        name: "load",
        title: "Load: `load.*`",
        prefixes: &["load"],
        needs: "A child of the agent sends it, and dies with it. Needs no privilege.",
    },
    Family {
        name: "noop",
        title: "Nothing: `noop`",
        prefixes: &["noop"],
        needs: "For trying the whole path, from a plan to the journal, without any effect.",
    },
];

impl Family {
    /// Its faults, in the order of the table.
    pub fn faults(&self) -> impl Iterator<Item = &'static FaultSpec> {
        FAULTS.iter().filter(|fault| {
            let prefix = fault.name.split('.').next().unwrap_or(fault.name);
            self.prefixes.contains(&prefix)
        })
    }

    /// The page, in Markdown.
    pub fn page(&self) -> String {
        let mut page = format!(
            "# {}\n\n{}\n\nWhat of this a host can do is told by `firedrill-agent doctor`, with what would help where it cannot.\n",
            self.title, self.needs
        );
        for fault in self.faults() {
            section(&mut page, fault);
        }
        page.push_str(
            "\n<!-- Made from the catalogue: cargo run -p firedrill-catalogue --example pages -->\n",
        );
        page
    }
}

fn section(page: &mut String, fault: &FaultSpec) {
    write!(page, "\n## {}\n\n{}.\n", fault.name, capital(fault.summary)).ok();
    let targets: Vec<_> = fault.scope.iter().map(|key| ScopeKey::remedy(*key)).collect();
    if !targets.is_empty() {
        write!(page, "\nTarget: {}.\n", targets.join("; ")).ok();
    }
    if !fault.params.is_empty() {
        page.push_str("\n| parameter | | values | default |\n| --- | --- | --- | --- |\n");
        for param in fault.params {
            let default = match param.default {
                Some(default) => format!("`{default}`"),
                None if param.required => "must be given".to_owned(),
                None => String::new(),
            };
            writeln!(
                page,
                "| `{}` | {} | {} | {default} |",
                param.name,
                cell(param.summary),
                values(param)
            )
            .ok();
        }
    }
    let changes = match fault.strength {
        _ if fault.undo == Undo::None => "Happens once.".to_owned(),
        Some(strength) => format!("Grows over a ramp, and changes while it is on: `{strength}`."),
        None => "Is on or off.".to_owned(),
    };
    write!(
        page,
        "
{changes}
"
    )
    .ok();
    let undo = match fault.undo {
        Undo::None => "Cannot be undone.",
        Undo::EffectsStay => "Undone, but what it did until then stays:",
        Undo::ProcessHeld => "Undone:",
    };
    write!(page, "\n{undo} {}\n", fault.undo_words).ok();
}

fn values(param: &ParamSpec) -> String {
    match param.kind {
        ParamKind::Duration { min_ms, max_ms } => {
            format!("{} to {}", quantity::show_ms(min_ms), quantity::show_ms(max_ms))
        }
        ParamKind::Share => "more than 0% to 100%".to_owned(),
        ParamKind::Bandwidth { min, max } => format!("{}/s to {}/s", bytes(min), bytes(max)),
        ParamKind::Count { min, max } => format!("{min} to {max}"),
        ParamKind::Memory { min, .. } => format!("{} MiB or more, or a share", min >> 20),
        ParamKind::Choice(words) => words.join(", "),
        ParamKind::Text { max_len } => format!("text, at most {max_len} bytes"),
    }
}

/// Decimal, as rates are written.
fn bytes(number: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
    let fits = units
        .iter()
        .find(|(size, _)| number >= *size && number.is_multiple_of(*size));
    fits.map_or_else(
        || format!("{number} B"),
        |(size, unit)| format!("{} {unit}", number / size),
    )
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
