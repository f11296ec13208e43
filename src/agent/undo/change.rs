//! Values in the kernel's own files (cgroups, `/proc`) that a fault holds and may change while it is on.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Exactly, Undone};
use crate::state::read_small;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// The line that is meant, by its first word; none: the file is one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// What the fault wrote or is about to write, as it reads afterwards.
    pub ours: Vec<String>,
    /// What was there before, as it is written.
    pub before: String,
    /// Whose file it is: not touched when that process has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Exactly>,
}

impl Change {
    /// What is there now; of a line all but its first word, nothing if there is no such line.
    pub fn now(&self) -> io::Result<String> {
        let text = read_small(&self.path)?;
        let Some(key) = &self.line else {
            return Ok(text.trim().to_owned());
        };
        let found = text.lines().find_map(|line| {
            let (first, rest) = line.split_once(' ')?;
            (first == key).then(|| rest.trim().to_owned())
        });
        Ok(found.unwrap_or_default())
    }

    /// Writes a value.
    pub fn write(&self, value: &str) -> io::Result<()> {
        match &self.line {
            Some(key) => std::fs::write(&self.path, format!("{key} {value}")),
            None => std::fs::write(&self.path, value),
        }
    }

    /// Whether the fault's value is there; `None`: there is no such file or process any more.
    pub fn is_ours(&self) -> io::Result<Option<bool>> {
        if self.of.is_some_and(|it| !it.runs()) {
            return Ok(None);
        }
        match self.now() {
            Ok(now) => Ok(Some(self.ours.contains(&now))),
            // ENODEV: the cgroup was removed while it was read.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes back what was there, if the fault's value is there, and reads it back.
    pub fn run(&self) -> Undone {
        let shown = self.path.display();
        let line = self
            .line
            .as_ref()
            .map_or_else(String::new, |line| format!("{line} "));
        let by_hand = format!("echo '{line}{}' > {shown}", self.before);
        let undone = || -> io::Result<Undone> {
            match self.is_ours()? {
                None => return Ok(Undone::gone(format!("{shown} is not there any more"))),
                Some(false) => {
                    return Ok(Undone::gone(format!(
                        "{shown} holds another value than the fault's: it is left as it is"
                    )));
                }
                Some(true) => self.write(&self.before)?,
            }
            Ok(match self.is_ours()? {
                Some(true) => Undone::stays(format!("{shown} still holds the fault's value"), &by_hand),
                _ => Undone::gone(format!("{shown} holds its former value again: {}", self.before)),
            })
        };
        undone().unwrap_or_else(|error| Undone::stays(format!("{shown}: {error}"), &by_hand))
    }
}

/// All of them, the last first; what stays of any stays.
pub fn run(changes: &[Change]) -> Undone {
    let mut all = Undone::gone("");
    for change in changes.iter().rev() {
        let undone = change.run();
        all.gone &= undone.gone;
        let between = if all.words.is_empty() { "" } else { "; " };
        all.words = format!("{}{between}{}", all.words, undone.words);
        all.by_hand = match (all.by_hand, undone.by_hand) {
            (Some(first), Some(second)) => Some(format!("{first}; {second}")),
            (first, second) => first.or(second),
        };
    }
    all
}

/// Whether none holds the fault's value, read anew.
pub fn prove(changes: &[Change]) -> (bool, String) {
    let still: Vec<_> = changes
        .iter()
        .filter(|change| !matches!(change.is_ours(), Ok(Some(false) | None)))
        .map(|change| change.path.display().to_string())
        .collect();
    if still.is_empty() {
        let files: Vec<_> = changes.iter().map(|it| it.path.display().to_string()).collect();
        return (true, format!("the fault's value is not in {}", files.join(", ")));
    }
    (
        false,
        format!("the fault's value is, or may be, in {}", still.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: PathBuf, line: Option<&str>) -> Change {
        Change {
            path,
            line: line.map(str::to_owned),
            ours: vec!["5".to_owned(), "7".to_owned()],
            before: "1".to_owned(),
            of: None,
        }
    }

    #[test]
    fn any_value_of_the_faults_is_written_back_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limit");
        let change = change(path.clone(), None);
        assert!(change.run().gone, "the cgroup is gone");
        for (now, after) in [("5\n", "1"), ("7\n", "1"), ("6\n", "6\n")] {
            std::fs::write(&path, now).unwrap();
            assert_eq!(prove(std::slice::from_ref(&change)).0, now == "6\n");
            assert!(run(std::slice::from_ref(&change)).gone);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert!(prove(std::slice::from_ref(&change)).0);
        }
    }

    #[test]
    fn a_line_is_found_by_its_first_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("io.max");
        std::fs::write(&path, "8:0 9\n8:16 5\n").unwrap();
        assert_eq!(change(path.clone(), Some("8:16")).now().unwrap(), "5");
        assert_eq!(change(path.clone(), Some("8:1")).now().unwrap(), "");
        change(path.clone(), Some("8:16")).run();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "8:16 1");
    }

    #[test]
    fn a_file_of_a_process_that_has_ended_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("score");
        std::fs::write(&path, "5").unwrap();
        let own = Exactly::own().unwrap();
        let former = Exactly {
            start_time: own.start_time - 1,
            ..own
        };
        let mut change = change(path.clone(), None);
        change.of = Some(former);
        assert!(change.run().gone);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "5");
        change.of = Some(own);
        assert!(change.run().gone);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
    }
}
