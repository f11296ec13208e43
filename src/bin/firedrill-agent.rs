//! The agent alone: what runs on every target host.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    firedrill_agent::cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("firedrill-agent runs on Linux only");
    std::process::ExitCode::from(2)
}
