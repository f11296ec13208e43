//! A process that holds an injection, to be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::inject;

pub const SUBCOMMAND: &str = "hold-packets";

/// Begins what its arguments say in the namespace it was started in, says so, and waits to be ended.
pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let parameters: Value = serde_json::from_str(&arguments[1]).unwrap();
    let _injection = inject(&arguments[0], &parameters);
    println!("on");
    std::io::stdout().flush().unwrap();
    // Ends with the test, whatever becomes of it.
    std::io::stdin().lines().next();
}

/// One that is on.
pub fn hold(name: &str, parameters: &Value) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([SUBCOMMAND, name, &parameters.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(output.lines().next().unwrap().unwrap(), "on");
    child
}
