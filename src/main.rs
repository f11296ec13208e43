//! `firedrill`: the console's window, or the same engine in a terminal, by its arguments.
//!
//! Glue only: arguments are read here, files and dialogs are opened here, everything else is in the rooms.

mod cli;
mod desktop;
mod fonts;
mod picture;
mod settings;
mod window;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Two TLS providers in one program would make rustls panic: choose before anything connects.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("firedrill: the TLS provider was chosen twice; TLS may not work");
    }
    cli::main()
}
