//! Breaks `ward` and `drill` on purpose, one promise at a time, in a copy of the sources, and runs schedules on each
//! copy: every one must be noticed. `.ci/mutations` runs this; its arguments choose by name, or `--part N/M`.
//!
//! `mutations/*.txt`: a block a mutation, `== name: what is broken`, `@ file`, lines that stand there (`-`, exactly
//! once in the file), lines that stand there instead (`+`).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

/// Schedules that a mutation has to survive to count as not noticed.
const SCHEDULES: &str = "0..6000";
/// The rooms that the simulator is built from.
const ROOMS: [&str; 7] = [
    "catalogue",
    "drill",
    "journal",
    "plan",
    "simulator",
    "ward",
    "wire",
];

struct Mutation {
    name: String,
    what: String,
    edits: Vec<Edit>,
}

#[derive(Default)]
struct Edit {
    file: String,
    old: Vec<String>,
    new: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("{missed} not noticed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<usize, String> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for file in ["ward.txt", "drill.txt"] {
        let path = room.join("mutations").join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        all.extend(read(&text)?);
    }
    let chosen = choose(all, words)?;
    let copy = Copy::make(room)?;
    // The copy itself must break nothing, or what follows shows nothing.
    if let Some(found) = copy.first_violation()? {
        return Err(format!("a rule is broken without any mutation: {found}"));
    }
    let mut missed = 0;
    for mutation in &chosen {
        let before = copy.apply(mutation)?;
        let found = copy.first_violation();
        for (path, text) in before {
            fs::write(path, text).map_err(|error| error.to_string())?;
        }
        let found = found.map_err(|why| format!("{}: {why}", mutation.name))?;
        missed += usize::from(found.is_none());
        let found = found.unwrap_or_else(|| "NOT NOTICED".to_owned());
        println!("| {} | {} | {found} |", mutation.name, mutation.what);
    }
    println!("{} of {} noticed", chosen.len() - missed, chosen.len());
    Ok(missed)
}

fn choose(all: Vec<Mutation>, words: &[String]) -> Result<Vec<Mutation>, String> {
    if let [flag, part] = words
        && flag == "--part"
    {
        let (n, m) = part
            .split_once('/')
            .ok_or("--part wants N/M, for instance 3/12")?;
        let number = |text: &str| {
            text.parse::<usize>()
                .map_err(|_| format!("{text:?} is no number"))
        };
        let (n, m) = (number(n)?, number(m)?.max(1));
        let chosen = all.into_iter().enumerate();
        return Ok(chosen
            .filter(|(place, _)| place % m == n % m)
            .map(|(_, it)| it)
            .collect());
    }
    for word in words {
        if !all.iter().any(|it| it.name == *word) {
            return Err(format!("no mutation is called {word:?}"));
        }
    }
    Ok(all
        .into_iter()
        .filter(|it| words.is_empty() || words.contains(&it.name))
        .collect())
}

fn read(text: &str) -> Result<Vec<Mutation>, String> {
    let mut all: Vec<Mutation> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("line {} of the mutations is out of place: {line}", number + 1);
        if let Some(head) = line.strip_prefix("== ") {
            let (name, what) = head.split_once(": ").ok_or_else(wrong)?;
            all.push(Mutation {
                name: name.to_owned(),
                what: what.to_owned(),
                edits: Vec::new(),
            });
        } else if let Some(file) = line.strip_prefix("@ ") {
            let edits = &mut all.last_mut().ok_or_else(wrong)?.edits;
            edits.push(Edit {
                file: file.to_owned(),
                ..Edit::default()
            });
        } else if let Some(line) = line.strip_prefix("- ") {
            let edit = all.last_mut().and_then(|it| it.edits.last_mut());
            edit.ok_or_else(wrong)?.old.push(line.to_owned());
        } else if let Some(line) = line.strip_prefix("+ ") {
            let edit = all.last_mut().and_then(|it| it.edits.last_mut());
            edit.ok_or_else(wrong)?.new.push(line.to_owned());
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(wrong());
        }
    }
    Ok(all)
}

/// A copy of the rooms, a workspace of its own with builds of its own: in a shared folder Cargo takes a crate that was
/// broken here for the real one.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make(room: &Path) -> Result<Self, String> {
        let source = room
            .parent()
            .and_then(Path::parent)
            .ok_or("the room has no workspace")?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| source.join("target"), PathBuf::from);
        let root = target.join("mutations");
        let failed = |error: io::Error| format!("the copy cannot be made in {}: {error}", root.display());
        let sources = root.join("src");
        if sources.exists() {
            fs::remove_dir_all(&sources).map_err(failed)?;
        }
        for room in ROOMS {
            copy_folder(&source.join("src").join(room), &sources.join(room)).map_err(failed)?;
        }
        fs::copy(source.join("Cargo.lock"), root.join("Cargo.lock")).map_err(failed)?;
        let manifest = fs::read_to_string(source.join("Cargo.toml")).map_err(failed)?;
        fs::write(root.join("Cargo.toml"), own_workspace(&manifest)?).map_err(failed)?;
        let target = root.join("target");
        Ok(Self { root, target })
    }

    /// Makes the edits; returns what stood in the files before.
    fn apply(&self, mutation: &Mutation) -> Result<Vec<(PathBuf, String)>, String> {
        let mut before: Vec<(PathBuf, String)> = Vec::new();
        for edit in &mutation.edits {
            let path = self.root.join("src").join(&edit.file);
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let (old, new) = (edit.old.join("\n"), edit.new.join("\n"));
            let places = text.matches(&old).count();
            if old.is_empty() || places != 1 {
                return Err(format!(
                    "{}: what it replaces stands {places} times in {}, expected once:\n{old}",
                    mutation.name, edit.file
                ));
            }
            fs::write(&path, text.replacen(&old, &new, 1)).map_err(|error| error.to_string())?;
            if before.iter().all(|(known, _)| *known != path) {
                before.push((path, text));
            }
        }
        Ok(before)
    }

    /// Builds the copy and runs the schedules. The rule that broke first, and after how many events at the least.
    fn first_violation(&self) -> Result<Option<String>, String> {
        let cargo = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            command
                .args(words)
                .current_dir(&self.root)
                .env("CARGO_TARGET_DIR", &self.target);
            command
                .output()
                .map_err(|error| format!("cargo cannot be run: {error}"))
        };
        let built = cargo(&[
            "build",
            "-q",
            "-p",
            "firedrill-simulator",
            "--example",
            "schedules",
        ])?;
        if !built.status.success() {
            return Err(format!(
                "it does not compile:\n{}",
                String::from_utf8_lossy(&built.stderr)
            ));
        }
        let program = self.target.join("debug/examples/schedules");
        let ran = Command::new(&program)
            .arg(SCHEDULES)
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        if ran.status.success() {
            return Ok(None);
        }
        let words = String::from_utf8_lossy(&ran.stderr).into_owned();
        if let Some(line) = words.lines().find(|line| line.contains(" broken after ")) {
            return Ok(Some(line.to_owned()));
        }
        // The parts that ship assert some promises themselves.
        let panicked = words.lines().find(|line| line.contains("panicked at"));
        Ok(Some(panicked.unwrap_or("it ended in disorder").to_owned()))
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The workspace's manifest with these rooms alone, and without the package at its root.
fn own_workspace(manifest: &str) -> Result<String, String> {
    let cut = |text: &str, from: &str| text.find(from).ok_or(format!("no {from} in Cargo.toml"));
    let members: Vec<String> = ROOMS.iter().map(|room| format!("\"src/{room}\"")).collect();
    let package = cut(manifest, "\n[package]")?;
    let profile = cut(manifest, "\n[profile.dev]")?;
    let shared = cut(manifest, "\n[workspace.package]")?;
    Ok(format!(
        "[workspace]\nmembers = [{}]\nresolver = \"3\"\n{}{}",
        members.join(", "),
        &manifest[shared..package],
        &manifest[profile..]
    ))
}
