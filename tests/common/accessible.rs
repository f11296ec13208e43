//! What a screen reader sees: a session bus of its own with the accessibility bus on it (AT-SPI).

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, Value};

use crate::{PATIENCE, Process};

const ROOT: &str = "/org/a11y/atspi/accessible/root";

/// A bus name and a path on it.
type Object = (String, OwnedObjectPath);

/// One node as `org.a11y.atspi.Cache.GetItems` gives it; its name is the seventh.
type Item = (
    Object,
    Object,
    Object,
    i32,
    i32,
    Vec<String>,
    String,
    u32,
    String,
    Vec<u32>,
);

/// The accessibility bus, with a screen reader on it as far as programs can tell. Ends with its handle.
#[derive(Debug)]
pub struct Accessibility {
    address: String,
    runtime: tokio::runtime::Runtime,
    bus: Connection,
    _session: Connection,
    _daemon: Process,
}

impl Accessibility {
    /// Starts `dbus-daemon`, which starts the accessibility bus when it is asked for.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--nofork", "--print-address=1"]);
        let mut daemon = Process::start("dbus-daemon", command, folder)?;
        let address = daemon.line(PATIENCE)?.trim().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (session, bus) = runtime.block_on(async {
            let session = Builder::address(address.as_str())?.build().await?;
            let (name, path) = ("org.a11y.Bus", "/org/a11y/bus");
            let reply = session
                .call_method(Some(name), path, Some(name), "GetAddress", &())
                .await?;
            let bus: String = reply.body().deserialize()?;
            let properties = Some("org.freedesktop.DBus.Properties");
            let on = ("org.a11y.Status", "IsEnabled", Value::from(true));
            session
                .call_method(Some(name), path, properties, "Set", &on)
                .await?;
            let bus = Builder::address(bus.as_str())?.build().await?;
            zbus::Result::Ok((session, bus))
        })?;
        let accessibility = Self {
            address,
            runtime,
            bus,
            _session: session,
            _daemon: daemon,
        };
        accessibility
            .programs()
            .context("the accessibility registry does not answer")?;
        Ok(accessibility)
    }

    /// Makes a program use this bus.
    pub fn offer(&self, command: &mut Command) {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
    }

    /// Whether some program on the bus shows a node of that name. A program that is just coming or going shows
    /// none.
    pub fn shows(&self, name: &str) -> anyhow::Result<bool> {
        let programs = self.programs()?;
        let shown = programs.iter().filter_map(|program| self.items(program).ok());
        Ok(shown.flatten().any(|item| item.6 == name))
    }

    fn programs(&self) -> anyhow::Result<Vec<String>> {
        let call = self.bus.call_method(
            Some("org.a11y.atspi.Registry"),
            ROOT,
            Some("org.a11y.atspi.Accessible"),
            "GetChildren",
            &(),
        );
        let reply = self.runtime.block_on(call)?;
        let children: Vec<Object> = reply.body().deserialize()?;
        Ok(children.into_iter().map(|(program, _)| program).collect())
    }

    fn items(&self, program: &str) -> anyhow::Result<Vec<Item>> {
        let call = self.bus.call_method(
            Some(program),
            "/org/a11y/atspi/cache",
            Some("org.a11y.atspi.Cache"),
            "GetItems",
            &(),
        );
        Ok(self.runtime.block_on(call)?.body().deserialize()?)
    }
}
