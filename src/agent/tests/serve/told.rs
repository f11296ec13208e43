//! A program that is hit: this very test program again, as a process of its own that says what happens to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// `told WHAT …`: what it does is asked for a line each, and answered with a line.
pub fn main(arguments: &[String]) {
    let what = arguments.first().map_or("", String::as_str);
    let held = match what {
        "hold" => vec![7_u8; arguments[1].parse::<usize>().unwrap() << 20],
        _ => Vec::new(),
    };
    if what == "spin" {
        let spin = || {
            loop {
                std::hint::spin_loop();
            }
        };
        std::thread::Builder::new()
            .name("spin".to_owned())
            .spawn(spin)
            .unwrap();
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            None if line == "open" => println!("{}", opens()),
            Some(("write", path)) => println!("{}", writes(Path::new(path))),
            _ => println!("{line} {}", held.len()),
        }
    }
}

fn opens() -> String {
    match std::fs::File::open("/dev/null") {
        Ok(_) => "opened".to_owned(),
        Err(error) => nix::errno::Errno::from_raw(error.raw_os_error().unwrap()).to_string(),
    }
}

/// Writes past the page cache for a second: bytes per second.
fn writes(path: &Path) -> u64 {
    const BLOCK: usize = 16 * 1024;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .unwrap();
    // What is written past the page cache begins at the beginning of a block.
    let buffer = vec![7_u8; 2 * BLOCK];
    let from = buffer.as_ptr().align_offset(4_096);
    let (began, mut written) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) && written < 64 << 20 {
        file.write_all(&buffer[from..from + BLOCK]).unwrap();
        written += BLOCK as u64;
    }
    (written as f64 / began.elapsed().as_secs_f64()) as u64
}

/// One that runs, ended with the test.
pub struct Told {
    pub child: Child,
    answers: BufReader<ChildStdout>,
    _program: tempfile::TempDir,
}

impl Told {
    pub fn new(arguments: &[&str]) -> Self {
        Self::after("exec \"$@\"", Path::new(""), arguments)
    }

    /// One in this cgroup from its first instruction on, so that what it holds counts there.
    pub fn inside(cgroup: &Cgroup, arguments: &[&str]) -> Self {
        let procs = cgroup.folder.join("cgroup.procs");
        Self::after("echo $$ > \"$0\" && exec \"$@\"", &procs, arguments)
    }

    /// A copy of this program: an agent spares processes of its own.
    fn after(script: &str, file: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("victim");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(file)
            .arg(program)
            .arg("told")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut it = Self {
            child,
            answers,
            _program: folder,
        };
        assert_eq!(it.answer(), "ready");
        it
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub fn ask(&mut self, what: &str) -> String {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{what}\n").as_bytes()).unwrap();
        self.answer()
    }

    /// Core time so far, in seconds.
    pub fn core_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let rest = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / 100.0
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A cgroup of the test's own, removed with it.
pub struct Cgroup {
    pub folder: PathBuf,
}

impl Cgroup {
    /// Under the hierarchy of version 1 that has this controller, or under version 2; `None`: this host has none that
    /// can be written to.
    pub fn new(one: &str, two: &str) -> Option<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let root = root(one, two)?;
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = root.join(format!("firedrill-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).ok()?;
        Some(Self { folder })
    }

    pub fn read(&self, file: &str) -> String {
        let mut text = String::new();
        let mut file = std::fs::File::open(self.folder.join(file)).unwrap();
        file.read_to_string(&mut text).unwrap();
        text.trim().to_owned()
    }

    pub fn is_of_version_1(&self) -> bool {
        !self.folder.join("cgroup.controllers").exists()
    }

    /// The number in a line `KEY NUMBER` of a file.
    pub fn count(&self, file: &str, key: &str) -> u64 {
        let text = self.read(file);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} ")));
        line.unwrap().parse().unwrap()
    }
}

/// Where cgroups with this controller can be made.
pub fn root(one: &str, two: &str) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let found = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let has = match fields[2] {
            "cgroup" => fields[3].split(',').any(|it| it == one),
            "cgroup2" => std::fs::read_to_string(Path::new(fields[1]).join("cgroup.subtree_control"))
                .is_ok_and(|all| two.is_empty() || all.split_whitespace().any(|it| it == two)),
            _ => false,
        };
        has.then(|| PathBuf::from(fields[1]))
    })?;
    nix::unistd::access(&found, nix::unistd::AccessFlags::W_OK).ok()?;
    Some(found)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process of it may be on its way out still.
        for _ in 0..500 {
            match std::fs::remove_dir(&self.folder) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}
