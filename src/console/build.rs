//! Makes the console's messages of `assets/messages/`: a method for each, in every language.

#[path = "messages/compile.rs"]
mod compile;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../assets/messages");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=messages/compile.rs");
    let mut files = Vec::new();
    for language in compile::LANGUAGES {
        let text = fs::read_to_string(folder.join(language.file))?;
        files.push((language, text));
    }
    let code = compile::compile(&files).map_err(|problems| problems.join("\n"))?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("messages.rs"), code)?;
    Ok(())
}
