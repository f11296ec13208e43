//! Where Firedrill keeps its own files, and the settings of the window.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use anyhow::Context as _;
use firedrill_console::Prefs;

/// The folder of drills in the data folder: abort cards, and how each drill ended.
pub const DRILLS: &str = "drills";

/// Agents' tokens, in the config folder.
pub const CREDENTIALS: &str = "credentials.json";

/// The window's settings, in the config folder.
const SETTINGS: &str = "settings.json";

/// No settings are longer, bytes.
const MOST: u64 = 64 * 1024;

/// The platform's folders for this program.
pub struct Folders {
    /// Settings and credentials.
    pub config: PathBuf,
    /// Journals, reports and the folder of drills.
    pub data: PathBuf,
}

/// The platform's folders (XDG on Linux), made if they are missing.
pub fn folders() -> anyhow::Result<Folders> {
    let dirs = directories::ProjectDirs::from("", "", "firedrill")
        .context("no home folder is known for this user; set HOME")?;
    let folders = Folders {
        config: dirs.config_dir().to_owned(),
        data: dirs.data_dir().to_owned(),
    };
    for folder in [&folders.config, &folders.data] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    Ok(folders)
}

/// The window's settings, the defaults where there are none; and where they cannot be read, where they were put
/// aside and why. They are never overwritten unread.
pub fn load(config: &Path) -> (Prefs, Option<String>) {
    let path = config.join(SETTINGS);
    match read(&path) {
        Ok(prefs) => (prefs, None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Prefs::default(), None),
        Err(error) => {
            let aside = free(config);
            let where_to = match fs::rename(&path, &aside) {
                Ok(()) => format!("they were put aside as {}", aside.display()),
                Err(renamed) => format!("they cannot be put aside either: {renamed}"),
            };
            let words = format!(
                "The window's settings in {} cannot be read ({error}): the first ones are used; {where_to}",
                path.display()
            );
            (Prefs::default(), Some(words))
        }
    }
}

fn read(path: &Path) -> io::Result<Prefs> {
    if fs::metadata(path)?.len() > MOST {
        return Err(io::Error::other(format!("longer than {MOST} bytes")));
    }
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

/// A name that nothing has yet.
fn free(config: &Path) -> PathBuf {
    let names = (1..1_000).map(|i| config.join(format!("settings.unreadable-{i}.json")));
    let mut free = names.filter(|path| !path.exists());
    free.next()
        .unwrap_or_else(|| config.join("settings.unreadable.json"))
}

/// Keeps the window's settings: whole or not at all, whenever the computer goes off.
fn save(config: &Path, prefs: Prefs) -> io::Result<()> {
    let (path, beside) = (config.join(SETTINGS), config.join("settings.json.new"));
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(&prefs)?)?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    // Where folders can be synced, the new name is durable too.
    File::open(config).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

/// Saves settings on a thread of its own: a slow disk holds no frame. Dropped, it has saved the last ones.
pub struct Keeper {
    to: Option<SyncSender<Prefs>>,
    thread: Option<JoinHandle<()>>,
    /// What it was told last.
    told: Prefs,
}

impl Keeper {
    /// Starts the thread. `told`: what is on disk.
    pub fn start(config: PathBuf, told: Prefs) -> io::Result<Self> {
        let (to, changes) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("settings".to_owned())
            .spawn(move || keep(&config, &changes))?;
        Ok(Self {
            to: Some(to),
            thread: Some(thread),
            told,
        })
    }

    /// Never waits. Gives whether `prefs` are on their way; where the disk is behind, ask again.
    pub fn tell(&mut self, prefs: Prefs) -> bool {
        if prefs == self.told {
            return true;
        }
        let sent = self.to.as_ref().map(|to| to.try_send(prefs));
        if matches!(sent, Some(Err(TrySendError::Full(_)))) {
            return false;
        }
        self.told = prefs;
        true
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn keep(config: &Path, changes: &Receiver<Prefs>) {
    for prefs in changes {
        if let Err(error) = save(config, prefs) {
            tracing::warn!("the settings cannot be kept in {}: {error}", config.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_console::{Language, Theme};

    use super::*;

    fn some() -> Prefs {
        Prefs {
            theme: Theme::Light,
            language: Some(Language::Chinese),
            abort_window: Some([3, -4]),
            ..Prefs::default()
        }
    }

    #[test]
    fn what_was_kept_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), (Prefs::default(), None));
        let mut keeper = Keeper::start(folder.path().to_owned(), Prefs::default()).unwrap();
        while !keeper.tell(some()) {}
        drop(keeper);
        assert_eq!(load(folder.path()), (some(), None));
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn a_crash_while_they_are_written_leaves_the_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), some()).unwrap();
        // Half of the new ones was on disk when the computer went off.
        fs::write(folder.path().join("settings.json.new"), "{\"theme\": \"da").unwrap();
        assert_eq!(load(folder.path()), (some(), None));
        save(folder.path(), Prefs::default()).unwrap();
        assert_eq!(load(folder.path()), (Prefs::default(), None));
    }

    #[test]
    fn what_cannot_be_read_is_put_aside_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SETTINGS);
        for (i, text) in ["{\"theme\": \"li", "{\"theme\": \"pink\"}"]
            .into_iter()
            .enumerate()
        {
            fs::write(&path, text).unwrap();
            let (prefs, said) = load(folder.path());
            assert_eq!(prefs, Prefs::default());
            let aside = folder.path().join(format!("settings.unreadable-{}.json", i + 1));
            let said = said.expect("it is said");
            assert!(said.contains(&aside.display().to_string()), "{said}");
            assert_eq!(fs::read_to_string(&aside).unwrap(), text, "nothing is lost");
            assert!(!path.exists());
        }
        fs::write(&path, vec![b' '; MOST as usize + 1]).unwrap();
        assert!(
            load(folder.path())
                .1
                .is_some_and(|said| said.contains("longer than"))
        );
    }

    #[test]
    fn settings_of_another_version_are_read_as_far_as_they_are_known() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(SETTINGS),
            "{\"language\": \"zh-Hans\", \"later\": 1}",
        )
        .unwrap();
        let (prefs, said) = load(folder.path());
        assert_eq!((prefs.language, said), (Some(Language::Chinese), None));
    }
}
