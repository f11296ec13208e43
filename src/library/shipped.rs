//! The files that are built in.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$((
            $name,
            include_str!(concat!("../../profiles/", $name, ".toml")),
            include_str!(concat!("../../profiles/templates/", $name, ".toml")),
        )),*]
    };
}

/// Name, plan, and what a form asks.
pub(crate) const FILES: [(&str, &str, &str); 8] = shipped![
    "online-shop",
    "payments",
    "go-microservices",
    "kubernetes-service",
    "smart-grid",
    "air-traffic",
    "medical-records",
    "trading",
];

#[cfg(test)]
mod tests {
    use super::FILES;
    use crate::Template;

    #[test]
    fn each_can_be_read() {
        for (name, plan, about) in FILES {
            let read = Template::read(name, plan, about);
            assert!(read.is_ok(), "{}", read.unwrap_err());
        }
    }
}
