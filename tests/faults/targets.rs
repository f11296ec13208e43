//! One fault, aimed in every way that an injection can be aimed at a service: the victim calls, and is refused.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use firedrill_testing::{Cgroup, Folder, Peer};
use serde_json::{Value, json};

use crate::calls::{CALLER, service};
use crate::routes::HTTP;
use crate::{Row, Scene, Seen, network};

const ROW: Row = Row {
    fault: "network.refuse",
    needs: &[Peer::Root],
    counter: Some("connects_refused"),
    ..HTTP
};

pub const ROWS: &[Row] = &[
    Row {
        form: "aimed at a unit of systemd",
        set: || aimed(|it| json!({ "unit": it.unit }), |it| it.unit.clone()),
        ..ROW
    },
    Row {
        form: "aimed at a container",
        set: || {
            aimed(
                |it| json!({ "container": it.container[..12] }),
                |it| format!("docker-{}.scope", it.container),
            )
        },
        ..ROW
    },
    Row {
        form: "aimed by the command line",
        set: || aimed(|it| json!({ "command": it.command }), Names::cgroup),
        ..ROW
    },
    Row {
        form: "aimed by the program's name",
        set: || aimed(|it| json!({ "process": it.program }), Names::cgroup),
        ..ROW
    },
    Row {
        form: "aimed by the port it listens on",
        set: || aimed(|it| json!({ "port": it.port }), Names::cgroup),
        ..ROW
    },
];

/// What the victim can be found by.
struct Names {
    unit: String,
    container: String,
    program: String,
    command: String,
    port: u16,
}

impl Names {
    fn new(to: SocketAddr) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // Unlike any other of these tests.
        let number = u64::from(std::process::id()) << 32 | u64::from(port) << 16 | u64::from(to.port());
        Ok(Self {
            unit: format!("firedrill-test-{number}.service"),
            container: format!("{number:016x}").repeat(4),
            program: format!("call{number:x}")[..15].to_owned(),
            command: format!("{to} {port}"),
            port,
        })
    }

    fn cgroup(&self) -> String {
        format!("firedrill-test-{}", self.program)
    }
}

/// A caller in a cgroup of this name, hit as the scope says.
fn aimed(scope: fn(&Names) -> Value, cgroup: fn(&Names) -> String) -> anyhow::Result<Scene> {
    let (runtime, to) = service()?;
    let (names, folder) = (Names::new(to)?, Folder::new()?);
    // The kernel names a process by the link that it was started by.
    let program = folder.path().join(&names.program);
    symlink(std::env::current_exe()?, &program)?;
    let caller = |procs: &Path| {
        let mut command = Command::new(program);
        command.arg(CALLER).arg(procs);
        command.args([to.to_string(), names.port.to_string()]);
        Ok(command)
    };
    let group = Cgroup::named("- -", cgroup(&names));
    let mut scene = network::apart_in(group, caller, json!({ "port": to.port() }), move |said| {
        // Whose folder goes is ended.
        let _kept = (&runtime, &folder);
        match said {
            "0 order" => Ok(Seen::Healthy),
            it if it.contains("refused") => Ok(Seen::Hit),
            other => anyhow::bail!("it says \"{other}\""),
        }
    })?;
    scene.scope = scope(&names);
    Ok(scene)
}
