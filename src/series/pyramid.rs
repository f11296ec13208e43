//! What is known of a block of samples without looking at them.

/// Samples of the lowest block. Smaller ones would double the memory of a series, larger ones make its edges dear.
pub(crate) const LEAF: usize = 16;
/// Blocks that make one of the level above.
pub(crate) const FACTOR: usize = 4;

/// No such sample.
pub(crate) const NONE: u32 = u32::MAX;

/// The extremes and gaps of a run of samples. Positions are indices into the whole series, so that what is drawn
/// are samples that were really there, at their own times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// When the first of the smallest was; here, so that drawing it does not look it up.
    pub(crate) min_us: u64,
    /// When the first of the largest was.
    pub(crate) max_us: u64,
    /// Where the first of the smallest is; [`NONE`] when there is no value.
    pub(crate) min_at: u32,
    /// Where the first of the largest is; [`NONE`] when there is no value.
    pub(crate) max_at: u32,
    /// The first gap; [`NONE`] when there is none.
    pub(crate) first_gap: u32,
    /// The last gap; [`NONE`] when there is none.
    pub(crate) last_gap: u32,
    /// The first sample; here too, so that drawing needs no sample. NaN is a gap.
    pub(crate) first: f64,
    /// The last sample; NaN is a gap.
    pub(crate) last: f64,
    /// When the first sample was; [`NEVER`] when there is none.
    pub(crate) first_us: u64,
    /// When the last sample was.
    pub(crate) last_us: u64,
}

/// The time of a sample that is not there.
const NEVER: u64 = u64::MAX;

impl Summary {
    /// Of no samples.
    pub(crate) const EMPTY: Self = Self {
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        min_us: 0,
        max_us: 0,
        min_at: NONE,
        max_at: NONE,
        first_gap: NONE,
        last_gap: NONE,
        first: f64::NAN,
        last: f64::NAN,
        first_us: NEVER,
        last_us: 0,
    };

    /// Of this run and the `later` one together.
    pub(crate) fn and(mut self, later: Self) -> Self {
        if later.min < self.min {
            self.min = later.min;
            self.min_us = later.min_us;
            self.min_at = later.min_at;
        }
        if later.max > self.max {
            self.max = later.max;
            self.max_us = later.max_us;
            self.max_at = later.max_at;
        }
        if self.first_gap == NONE {
            self.first_gap = later.first_gap;
        }
        if later.last_gap != NONE {
            self.last_gap = later.last_gap;
        }
        if self.first_us == NEVER {
            (self.first_us, self.first) = (later.first_us, later.first);
        }
        if later.first_us != NEVER {
            (self.last_us, self.last) = (later.last_us, later.last);
        }
        self
    }

    /// Whether there is any value.
    pub(crate) fn has_value(&self) -> bool {
        self.min_at != NONE
    }
}

/// Levels of complete blocks: every level above the lowest summarises [`FACTOR`] blocks of the one below. Blocks
/// that are not complete are not kept: whoever asks looks at what they are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pyramid {
    levels: Vec<Vec<Summary>>,
}

impl Pyramid {
    /// Adds a complete block to the lowest level, and to those above what becomes complete by it.
    pub(crate) fn push(&mut self, block: Summary) {
        let mut block = block;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let blocks = &mut self.levels[level];
            blocks.push(block);
            if !blocks.len().is_multiple_of(FACTOR) {
                return;
            }
            let from = blocks.len() - FACTOR;
            block = blocks[from..]
                .iter()
                .fold(Summary::EMPTY, |sum, &next| sum.and(next));
        }
    }

    /// How many levels there are.
    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// A complete block, or `None` when it is not there.
    pub(crate) fn get(&self, level: usize, block: usize) -> Option<Summary> {
        self.levels.get(level)?.get(block).copied()
    }
}
