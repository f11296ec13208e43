//! From a verdict to an exit code.

use firedrill_drill::{Outcome, Verdict};

/// Something may still be on: wins over all.
pub const MAY_BE_ON: u8 = 5;

/// 0 held, 1 broken, 3 aborted, 4 inconclusive, 5 something may still be on. (2 is a wrong plan or wrong usage.)
pub fn exit_code(verdict: &Verdict) -> u8 {
    if !verdict.unconfirmed.is_empty() {
        return MAY_BE_ON;
    }
    match verdict.outcome {
        Outcome::Held => 0,
        Outcome::Broken => 1,
        Outcome::Aborted => 3,
        Outcome::Inconclusive => 4,
    }
}

/// Of the demo: 0 when the fragile build breaks and the hardened one holds; an abort and something that may be
/// on win over that; anything else is 1.
pub fn demo_exit_code(fragile: &Verdict, hardened: &Verdict) -> u8 {
    let codes = [exit_code(fragile), exit_code(hardened)];
    match codes {
        [1, 0] => 0,
        _ if codes.contains(&MAY_BE_ON) => MAY_BE_ON,
        _ if codes.contains(&3) => 3,
        _ if codes.contains(&4) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            reasons: vec![],
            unconfirmed: vec![],
        }
    }

    #[test]
    fn each_outcome_has_its_code_and_may_be_on_wins() {
        use Outcome::{Aborted, Broken, Held, Inconclusive};
        let codes = [Held, Broken, Aborted, Inconclusive].map(|it| exit_code(&verdict(it)));
        assert_eq!(codes, [0, 1, 3, 4]);
        for outcome in [Held, Broken, Aborted, Inconclusive] {
            let unconfirmed = vec!["x".into()];
            let verdict = Verdict {
                unconfirmed,
                ..verdict(outcome)
            };
            assert_eq!(exit_code(&verdict), 5);
            assert_eq!(demo_exit_code(&verdict, &self::verdict(Held)), 5);
        }
    }

    #[test]
    fn the_demo_succeeds_only_as_it_should() {
        use Outcome::{Aborted, Broken, Held, Inconclusive};
        let of = |a, b| demo_exit_code(&verdict(a), &verdict(b));
        assert_eq!(of(Broken, Held), 0);
        assert_eq!(of(Held, Held), 1);
        assert_eq!(of(Broken, Broken), 1);
        assert_eq!(of(Broken, Inconclusive), 4);
        assert_eq!(of(Aborted, Held), 3);
    }
}
