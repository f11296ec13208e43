//! Writes the pages of the faults to `assets/docs/faults/`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/docs/faults");
    std::fs::create_dir_all(&folder)?;
    for family in firedrill_catalogue::FAMILIES {
        std::fs::write(folder.join(format!("{}.md", family.name)), family.page())?;
    }
    Ok(())
}
