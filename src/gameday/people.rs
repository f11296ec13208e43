//! Names and roles: who agreed stands in reports by name, all others by role.

use std::collections::BTreeMap;

use crate::{GameDay, Role};

/// What reports call people.
#[derive(Clone, Debug)]
pub struct Names {
    known: BTreeMap<String, String>,
}

impl Names {
    /// Of a game day.
    pub fn of(day: &GameDay) -> Self {
        let mut known = BTreeMap::new();
        for (role, names) in &day.people.roles {
            for (i, name) in names.iter().enumerate() {
                let said = if day.people.named.contains(name) {
                    name.clone()
                } else if names.len() == 1 {
                    format!("the {}", role.word())
                } else {
                    format!("{} {}", role.word(), i + 1)
                };
                // The first role is the one somebody is called by.
                known.entry(name.clone()).or_insert(said);
            }
        }
        Self { known }
    }

    /// What a person is called: a name only where they agreed.
    pub fn call(&self, name: &str) -> String {
        self.known
            .get(name)
            .cloned()
            .unwrap_or_else(|| "the person at the console".to_owned())
    }

    /// The same for an owner: a team, or somebody who does not take part, is called as written.
    pub fn call_or_keep(&self, name: &str) -> String {
        self.known.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// A role's people in a sentence: `Ada, observer 2`, or how many where nobody of them agreed.
    pub fn role(&self, day: &GameDay, role: Role) -> Option<String> {
        let (_, names) = day.people.roles.iter().find(|(it, _)| *it == role)?;
        let named: Vec<&str> = names
            .iter()
            .filter(|name| day.people.named.contains(name))
            .map(String::as_str)
            .collect();
        let others = names.len() - named.len();
        Some(match (named.is_empty(), others) {
            (true, others) => others.to_string(),
            (false, 0) => named.join(", "),
            (false, others) => format!("{} and {others} more", named.join(", ")),
        })
    }
}
