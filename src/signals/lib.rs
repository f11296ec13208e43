//! Where SLIs come from: a Prometheus server, exposition text that we read ourselves, or requests that we send.
//!
//! Contract: a [`Sampler`] sends batches of samples that are new *at the source*, known by the source's own time,
//! each with its age by the source's clock. Whatever a source answers becomes a value or no data with a sentence
//! that says why and what to do; nothing a source says can panic, and everything read has a limit: at most two
//! requests to one address are under way (six to a Prometheus server: two for all, two for queries that must be asked
//! alone, two for slow ones), each with a time-out and a size. An address that hangs, and a query that does, holds up
//! nobody else's samples. The same workload gives the same numbers by every source.
//!
//! Uses `plan`, `drill` (for its `Sample`) and `series`.

mod asking;
mod check;
mod evaluate;
mod exposition;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod http;
mod novelty;
mod past;
mod probe;
mod prometheus;
mod promql;
mod promql_names;
mod query;
mod sampler;
mod scrape;
mod selector;

pub use check::check_source;
pub use evaluate::replay;
pub use past::past;
pub use promql::explain;
pub use sampler::Sampler;

/// Why no source can be made of a plan's `[metrics]`.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A matcher's regular expression does not compile, or is too large.
    #[error(
        "the regular expression in {selector} cannot be used: {why}. Prometheus' syntax (RE2) is expected, up to 1 MiB compiled"
    )]
    Regex {
        /// The selector that holds it.
        selector: String,
        /// What the compiler said.
        why: String,
    },
    /// Raw PromQL on a source that does not speak it.
    #[error(
        "\"{sli}\" is raw PromQL, which only a Prometheus source can answer; give [metrics] prometheus, or use ratio, quantile, rate or gauge"
    )]
    PromqlElsewhere {
        /// The SLI's name.
        sli: String,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made for [metrics]: {0}")]
    Client(String),
    /// A probe's method is not one.
    #[error("\"{0}\" is not an HTTP method; a probe is written as \"GET http://…\"")]
    Method(String),
}
