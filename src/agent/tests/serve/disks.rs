//! What `disk.fill` does to a file system, seen from there: its free space, and a program that writes to it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, recorded_child, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_disk_is_filled_changed_and_given_back",
        a_disk_is_filled_changed_and_given_back,
    ),
    ("a_disk_that_is_none_is_refused", a_disk_that_is_none_is_refused),
];

/// They mount a file system of their own.
pub const WITH_MOUNT: &[(&str, fn())] = &[
    (
        "a_full_disk_is_seen_and_gone_after_the_revert",
        a_full_disk_is_seen_and_gone_after_the_revert,
    ),
    (
        "a_full_disk_is_free_when_the_agent_dies",
        a_full_disk_is_free_when_the_agent_dies,
    ),
    (
        "a_disk_fills_step_by_step_down_to_its_floor",
        a_disk_fills_step_by_step_down_to_its_floor,
    ),
];

const MIB: u64 = 1 << 20;

fn free(folder: &Path) -> u64 {
    let of = nix::sys::statvfs::statvfs(folder).unwrap();
    of.blocks_available() * of.fragment_size()
}

fn change(drill: &mut Drill, revision: u32, parameters: Value) {
    let change = json!({
        "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": parameters,
    });
    drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(200);
}

fn held(drill: &mut Drill) -> f64 {
    drill.view("i1")["evidence"]["counts"]["held_bytes"]
        .as_f64()
        .unwrap_or(0.0)
}

fn a_disk_is_filled_changed_and_given_back() {
    let rig = Rig::new();
    let folder = rig.state.canonicalize().unwrap();
    let before = free(&folder);
    let mut drill = Drill::open(rig.client(), "d1");
    let asked = |size: &str| json!({ "path": folder, "size": size });
    drill.start("i1", "disk.fill", asked("1GiB"), json!({}));
    let child = recorded_child(&rig.state);
    // Others write to this disk too: half of it is surely the fault's.
    until("the space is taken", || {
        (free(&folder) < before - 512 * MIB).then_some(())
    });
    until("the evidence tells it", || {
        (held(&mut drill) >= 1024.0 * MIB as f64).then_some(())
    });
    change(&mut drill, 1, asked("64MiB"));
    until("most of it is back", || {
        (65.0 * MIB as f64 > held(&mut drill) && free(&folder) > before - 512 * MIB).then_some(())
    });
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    assert!(!runs(child));
    assert!(
        gone["evidence"]["counts"]["free_bytes"].as_f64().unwrap() > 0.0,
        "{gone}"
    );
    until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
}

fn a_disk_that_is_none_is_refused() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for (id, path, size, why) in [
        ("i1", json!("/proc"), "1MiB", "is of proc"),
        ("i2", json!("/no/such"), "1MiB", "No such file"),
        (
            "i3",
            json!(rig.state.canonicalize().unwrap()),
            "100%",
            "stay free",
        ),
    ] {
        let body = drill.body("disk.fill", json!({ "path": path, "size": size }), json!({}));
        let refused = drill
            .client
            .call("PUT", &format!("/v1/injections/{id}"), &body)
            .expect(422);
        assert!(refused["detail"].to_string().contains(why), "{refused}");
    }
}

/// A small file system of its own, gone with the test.
struct Mount(
    PathBuf,
    #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir,
);

impl Mount {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "firedrill-test"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(path, folder)
    }

    /// What a program gets that writes a file there.
    fn writes(&self) -> Result<(), ErrorKind> {
        let file = self.0.join("victim");
        let written = std::fs::write(&file, vec![7_u8; MIB as usize]).map_err(|error| error.kind());
        std::fs::remove_file(&file).unwrap();
        written
    }

    fn all_but_nothing(&self) -> Value {
        json!({ "path": self.0, "size": "63MiB", "keep_free": "4KiB" })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn a_full_disk_is_seen_and_gone_after_the_revert() {
    let (rig, disk) = (Rig::new(), Mount::new());
    let mut drill = Drill::open(rig.client(), "d1");
    disk.writes().unwrap();
    let full = json!({ "path": disk.0, "size": "100%", "keep_free": "4KiB" });
    let body = drill.body("disk.fill", full, json!({}));
    drill.client.call("PUT", "/v1/injections/none", &body).expect(422);
    drill.start("i1", "disk.fill", disk.all_but_nothing(), json!({}));
    until("it is nearly full", || (free(&disk.0) <= MIB).then_some(()));
    std::fs::write(disk.0.join("more"), vec![7_u8; MIB as usize]).unwrap();
    assert_eq!(disk.writes(), Err(ErrorKind::StorageFull));
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    disk.writes().unwrap();
    assert_eq!(free(&disk.0), 63 * MIB);
}

fn a_full_disk_is_free_when_the_agent_dies() {
    let (temp, disk) = (tempfile::tempdir().unwrap(), Mount::new());
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    std::fs::write(disk.0.join("more"), vec![7_u8; MIB as usize]).unwrap();
    drill.start(
        "i1",
        "disk.fill",
        json!({ "path": disk.0, "size": "62MiB", "keep_free": "4KiB" }),
        json!({}),
    );
    until("it is nearly full", || (free(&disk.0) <= MIB).then_some(()));
    std::fs::write(disk.0.join("most"), vec![7_u8; MIB as usize]).unwrap();
    assert_eq!(disk.writes(), Err(ErrorKind::StorageFull));
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it is free", || (free(&disk.0) == 62 * MIB).then_some(()));
    disk.writes().unwrap();
}

fn a_disk_fills_step_by_step_down_to_its_floor() {
    let (rig, disk) = (Rig::new(), Mount::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let slow = json!({ "path": disk.0, "size": "40MiB", "keep_free": "20MiB", "step": "8MiB" });
    drill.start("i1", "disk.fill", slow, json!({}));
    let some = until("it has begun to grow", || {
        Some(free(&disk.0)).filter(|free| *free < 63 * MIB)
    });
    assert!(some > 30 * MIB, "at once: {some}");
    until("it grows on", || (free(&disk.0) == 24 * MIB).then_some(()));
    // Somebody else needs space: what is left to others comes before what was asked for.
    std::fs::write(disk.0.join("others"), vec![7_u8; 10 * MIB as usize]).unwrap();
    until("it makes room", || (free(&disk.0) >= 20 * MIB).then_some(()));
}
