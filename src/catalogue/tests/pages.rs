//! The pages in the repository are those of the table.

use std::path::Path;

use firedrill_catalogue::{FAMILIES, FAULTS, Family};

#[test]
fn every_fault_is_on_one_page() {
    for fault in FAULTS {
        let pages = FAMILIES.iter().flat_map(Family::faults);
        assert_eq!(
            pages.filter(|other| other.name == fault.name).count(),
            1,
            "{}",
            fault.name
        );
    }
}

#[test]
fn the_pages_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/docs/faults");
    for family in FAMILIES {
        let path = folder.join(format!("{}.md", family.name));
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == family.page(),
            "{} is old: cargo run -p firedrill-catalogue --example pages",
            path.display()
        );
    }
}
