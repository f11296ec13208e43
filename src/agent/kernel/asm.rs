//! A small assembler for the kernel's eBPF instructions, and a listing of what it made.
//!
//! As many instructions as the programs here need, by names that say what they do; jumps go to labels. What is
//! loaded is exactly [`Code::words`]; [`Code::listing`] shows the same in the words of the kernel's own
//! documentation (instruction-set.rst), so that an auditor can read what runs.

use std::fmt::Write as _;

/// A register. R0 holds a call's result, R1 to R5 its arguments and are lost by it, R6 to R9 last; R10 is the end
/// of the stack, of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    /// A call's result, and the program's.
    R0 = 0,
    /// First argument; the context when the program begins.
    R1 = 1,
    /// Second argument.
    R2 = 2,
    /// Third argument.
    R3 = 3,
    /// Fourth argument.
    R4 = 4,
    /// Kept over calls: the context, in all programs here.
    R6 = 6,
    /// Kept over calls.
    R7 = 7,
    /// Kept over calls.
    R8 = 8,
    /// Kept over calls.
    R9 = 9,
    /// The end of the stack.
    R10 = 10,
}

/// How many bytes are loaded or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One.
    B = 0x10,
    /// Two.
    H = 0x08,
    /// Four.
    W = 0x00,
    /// Eight.
    Dw = 0x18,
}

/// When a jump is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Equal.
    Eq = 0x10,
    /// Not equal.
    Ne = 0x50,
    /// Greater or equal, unsigned.
    Ge = 0x30,
    /// Less, unsigned.
    Lt = 0xa0,
}

/// An operation of 32 bits on a register and a constant; the upper half becomes 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alu {
    /// Bits in both.
    And = 0x50,
    /// Towards the high bits.
    Shl = 0x60,
    /// Towards the low bits.
    Shr = 0x70,
    /// Sum.
    Add = 0x00,
}

/// A function of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// (map, key) → address of the value, or 0.
    MapLookup = 1,
    /// (map, key, value, flags) → 0, or an error.
    MapUpdate = 2,
    /// () → 32 random bits.
    Random = 7,
    /// (packet, offset, to, length) → 0, or an error where the packet is shorter.
    LoadBytes = 26,
    /// (context) → a number that names the socket for ever.
    SocketCookie = 46,
    /// (negative error) → the call that runs the program fails with it. Since Linux 5.18.
    SetRetval = 187,
}

/// A place in the code that jumps go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Not yet bound to a place.
const NOWHERE: usize = usize::MAX;

/// Marks a constant as a map, in the source register's field.
const PSEUDO_MAP: u8 = 1;
/// Marks a constant as the address of the first value of a map of one.
const PSEUDO_MAP_VALUE: u8 = 2;

#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u8,
    dst: u8,
    src: u8,
    offset: i16,
    constant: i32,
}

/// Code while it is written.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Where each label is.
    places: Vec<usize>,
    /// Which jumps go to which label.
    jumps: Vec<(usize, Label)>,
    notes: Vec<(usize, String)>,
}

impl Assembler {
    /// A label for later.
    pub fn label(&mut self) -> Label {
        self.places.push(NOWHERE);
        Label(self.places.len() - 1)
    }

    /// The label is here.
    pub fn bind(&mut self, label: Label) {
        self.places[label.0] = self.code.len();
    }

    /// A line for the reader of the listing.
    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push((self.code.len(), words.into()));
    }

    fn push(&mut self, code: u8, dst: u8, src: u8, offset: i16, constant: i32) {
        self.code.push(Instruction {
            code,
            dst,
            src,
            offset,
            constant,
        });
    }

    /// `dst = constant`.
    pub fn set(&mut self, dst: Reg, constant: i32) {
        self.push(0xb7, dst as u8, 0, 0, constant);
    }

    /// `dst = src`.
    pub fn copy(&mut self, dst: Reg, src: Reg) {
        self.push(0xbf, dst as u8, src as u8, 0, 0);
    }

    /// `dst = src + offset`: an address in the stack or in a value.
    pub fn address(&mut self, dst: Reg, src: Reg, offset: i32) {
        self.copy(dst, src);
        self.push(0x07, dst as u8, 0, 0, offset);
    }

    /// `dst = dst op constant`, in 32 bits.
    pub fn alu(&mut self, op: Alu, dst: Reg, constant: i32) {
        self.push(0x04 | op as u8, dst as u8, 0, 0, constant);
    }

    /// `dst = dst + src`, in 32 bits.
    pub fn add(&mut self, dst: Reg, src: Reg) {
        self.push(0x0c, dst as u8, src as u8, 0, 0);
    }

    /// `dst = *(src + offset)`.
    pub fn load(&mut self, size: Size, dst: Reg, src: Reg, offset: i16) {
        self.push(0x61 | size as u8, dst as u8, src as u8, offset, 0);
    }

    /// `*(dst + offset) = src`.
    pub fn store(&mut self, size: Size, dst: Reg, offset: i16, src: Reg) {
        self.push(0x63 | size as u8, dst as u8, src as u8, offset, 0);
    }

    /// `*(dst + offset) = constant`.
    pub fn put(&mut self, size: Size, dst: Reg, offset: i16, constant: i32) {
        self.push(0x62 | size as u8, dst as u8, 0, offset, constant);
    }

    /// `*(u64 *)(dst + offset) += src`, in one step that no other processor interrupts.
    pub fn atomic_add(&mut self, dst: Reg, offset: i16, src: Reg) {
        self.push(0xdb, dst as u8, src as u8, offset, 0);
    }

    /// Goes on at the label.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x05, 0, 0, 0, 0);
    }

    /// Goes on at the label when the low 32 bits of `left` compare to the constant so.
    pub fn jump_if(&mut self, left: Reg, when: When, constant: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x06 | when as u8, left as u8, 0, 0, constant);
    }

    /// Goes on at the label when the registers, of 64 bits, compare so.
    pub fn jump_if_reg(&mut self, left: Reg, when: When, right: Reg, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x0d | when as u8, left as u8, right as u8, 0, 0);
    }

    /// Goes on at the label when all 64 bits are 0.
    pub fn jump_if_null(&mut self, left: Reg, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x05 | When::Eq as u8, left as u8, 0, 0, 0);
    }

    /// Calls the kernel.
    pub fn call(&mut self, helper: Helper) {
        self.push(0x85, 0, 0, 0, helper as i32);
    }

    /// `dst =` the map of this file descriptor.
    pub fn map(&mut self, dst: Reg, fd: i32) {
        self.wide(dst, PSEUDO_MAP, fd);
    }

    /// `dst =` the address of the only value in the map of this file descriptor.
    pub fn map_value(&mut self, dst: Reg, fd: i32) {
        self.wide(dst, PSEUDO_MAP_VALUE, fd);
    }

    fn wide(&mut self, dst: Reg, kind: u8, fd: i32) {
        self.push(0x18, dst as u8, kind, 0, fd);
        self.push(0, 0, 0, 0, 0);
    }

    /// Ends the program with this result.
    pub fn end(&mut self, result: i32) {
        self.set(Reg::R0, result);
        self.push(0x95, 0, 0, 0, 0);
    }

    /// The code, its jumps resolved.
    pub fn finish(mut self) -> Result<Code, AsmError> {
        for (at, label) in &self.jumps {
            let place = self.places[label.0];
            if place == NOWHERE {
                return Err(AsmError(format!(
                    "the jump at {at} goes to a label that is nowhere"
                )));
            }
            self.code[*at].offset = distance(*at, place)
                .ok_or_else(|| AsmError(format!("the jump at {at} to {place} is too far")))?;
        }
        Ok(Code {
            code: self.code,
            notes: self.notes,
        })
    }
}

/// How many instructions a jump skips; back is negative.
fn distance(at: usize, place: usize) -> Option<i16> {
    let (at, place) = (i32::try_from(at).ok()?, i32::try_from(place).ok()?);
    i16::try_from(place - at - 1).ok()
}

/// Code that does not hang together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program is wrong, a defect of this build: {0}")]
pub struct AsmError(String);

/// A program, ready to be loaded.
#[derive(Clone, Debug)]
pub struct Code {
    code: Vec<Instruction>,
    notes: Vec<(usize, String)>,
}

impl Code {
    /// As the kernel takes it: eight bytes an instruction.
    pub fn words(&self) -> Vec<[u8; 8]> {
        self.code.iter().map(|it| it.encode()).collect()
    }

    /// As people read it: a line an instruction, with the notes before what they are about.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        let mut notes = self.notes.iter().peekable();
        let mut after_wide = false;
        for (at, instruction) in self.code.iter().enumerate() {
            while let Some((_, words)) = notes.next_if(|(place, _)| *place <= at) {
                writeln!(text, "   ; {words}").ok();
            }
            if !std::mem::take(&mut after_wide) {
                writeln!(text, "{at:4}  {}", instruction.show(at)).ok();
            }
            after_wide = instruction.code == 0x18;
        }
        text
    }
}

impl Instruction {
    fn encode(self) -> [u8; 8] {
        let registers = if cfg!(target_endian = "big") {
            (self.dst << 4) | self.src
        } else {
            self.dst | (self.src << 4)
        };
        let mut bytes = [self.code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.constant.to_ne_bytes());
        bytes
    }

    fn show(self, at: usize) -> String {
        let Self {
            code,
            dst,
            src,
            offset,
            constant,
        } = self;
        let size = match code & 0x18 {
            0x10 => "u8",
            0x08 => "u16",
            0x18 => "u64",
            _ => "u32",
        };
        let to = at.wrapping_add_signed(isize::from(offset) + 1);
        let when = match code & 0xf0 {
            0x10 => "==",
            0x50 => "!=",
            0x30 => ">=",
            _ => "<",
        };
        match code {
            0xb7 => format!("r{dst} = {constant}"),
            0xbf => format!("r{dst} = r{src}"),
            0x07 => format!("r{dst} += {constant}"),
            0x54 => format!("w{dst} &= {constant:#x}"),
            0x64 => format!("w{dst} <<= {constant}"),
            0x74 => format!("w{dst} >>= {constant}"),
            0x04 => format!("w{dst} += {constant}"),
            0x0c => format!("w{dst} += w{src}"),
            0x05 => format!("goto {to}"),
            0x85 => format!("call {}", helper_name(constant)),
            0x95 => "exit".to_owned(),
            0x18 if src == PSEUDO_MAP_VALUE => format!("r{dst} = value of map fd {constant}"),
            0x18 => format!("r{dst} = map fd {constant}"),
            0xdb => format!("lock *(u64 *)(r{dst} {offset:+}) += r{src}"),
            _ => match code & 0x07 {
                0x01 => format!("r{dst} = *({size} *)(r{src} {offset:+})"),
                0x02 => format!("*({size} *)(r{dst} {offset:+}) = {constant}"),
                0x03 => format!("*({size} *)(r{dst} {offset:+}) = r{src}"),
                0x06 => format!("if w{dst} {when} {constant:#x} goto {to}"),
                _ if code & 0x08 != 0 => format!("if r{dst} {when} r{src} goto {to}"),
                _ => format!("if r{dst} {when} {constant} goto {to}"),
            },
        }
    }
}

fn helper_name(number: i32) -> &'static str {
    match number {
        1 => "map_lookup_elem",
        2 => "map_update_elem",
        7 => "get_prandom_u32",
        26 => "skb_load_bytes",
        46 => "get_socket_cookie",
        187 => "set_retval",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of one instruction, as the kernel's documentation gives them for little endian.
    fn one(write: impl FnOnce(&mut Assembler)) -> Vec<[u8; 8]> {
        let mut code = Assembler::default();
        write(&mut code);
        code.finish().unwrap().words()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_encoded_as_the_kernel_says() {
        use Reg::{R0, R1, R2, R6, R7, R10};
        assert_eq!(
            one(|it| it.set(R1, -111)),
            [[0xb7, 1, 0, 0, 0x91, 0xff, 0xff, 0xff]]
        );
        assert_eq!(one(|it| it.copy(R6, R1)), [[0xbf, 0x16, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(
            one(|it| it.address(R2, R10, -8)),
            [
                [0xbf, 0xa2, 0, 0, 0, 0, 0, 0],
                [0x07, 2, 0, 0, 0xf8, 0xff, 0xff, 0xff]
            ]
        );
        assert_eq!(
            one(|it| it.load(Size::W, R2, R6, 24)),
            [[0x61, 0x62, 24, 0, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.load(Size::B, R2, R10, -1)),
            [[0x71, 0xa2, 0xff, 0xff, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.load(Size::H, R2, R10, -2)),
            [[0x69, 0xa2, 0xfe, 0xff, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.load(Size::Dw, R2, R7, 8)),
            [[0x79, 0x72, 8, 0, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.store(Size::Dw, R10, -8, R0)),
            [[0x7b, 0x0a, 0xf8, 0xff, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.store(Size::W, R6, 4, R2)),
            [[0x63, 0x26, 4, 0, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.put(Size::W, R10, -4, 5)),
            [[0x62, 0x0a, 0xfc, 0xff, 5, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.atomic_add(R7, 16, R1)),
            [[0xdb, 0x17, 16, 0, 0, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.alu(Alu::And, R2, 0xff)),
            [[0x54, 2, 0, 0, 0xff, 0, 0, 0]]
        );
        assert_eq!(one(|it| it.alu(Alu::Shl, R2, 2)), [[0x64, 2, 0, 0, 2, 0, 0, 0]]);
        assert_eq!(one(|it| it.alu(Alu::Shr, R2, 4)), [[0x74, 2, 0, 0, 4, 0, 0, 0]]);
        assert_eq!(one(|it| it.add(R2, R7)), [[0x0c, 0x72, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(
            one(|it| it.call(Helper::SetRetval)),
            [[0x85, 0, 0, 0, 187, 0, 0, 0]]
        );
        assert_eq!(
            one(|it| it.map_value(R7, 9)),
            [[0x18, 0x27, 0, 0, 9, 0, 0, 0], [0; 8]]
        );
        assert_eq!(
            one(|it| it.end(1)),
            [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]]
        );
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn jumps_find_their_labels() {
        let words = one(|it| {
            let (back, end) = (it.label(), it.label());
            it.bind(back);
            it.jump_if(Reg::R2, When::Ne, 5, end);
            it.jump_if_reg(Reg::R0, When::Ge, Reg::R1, end);
            it.jump_if_null(Reg::R0, back);
            it.jump(back);
            it.bind(end);
            it.end(0);
        });
        assert_eq!(words[0], [0x56, 2, 3, 0, 5, 0, 0, 0]);
        assert_eq!(words[1], [0x3d, 0x10, 2, 0, 0, 0, 0, 0]);
        assert_eq!(words[2], [0x15, 0, 0xfd, 0xff, 0, 0, 0, 0]);
        assert_eq!(words[3], [0x05, 0, 0xfc, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn a_label_that_is_nowhere_is_told() {
        let mut code = Assembler::default();
        let lost = code.label();
        code.jump(lost);
        assert!(code.finish().unwrap_err().to_string().contains("nowhere"));
        let mut code = Assembler::default();
        let far = code.label();
        code.jump(far);
        for _ in 0..40_000 {
            code.set(Reg::R0, 0);
        }
        code.bind(far);
        assert!(code.finish().unwrap_err().to_string().contains("too far"));
    }

    #[test]
    fn a_listing_reads_like_code() {
        let mut code = Assembler::default();
        let pass = code.label();
        code.copy(Reg::R6, Reg::R1);
        code.note("the port is 80");
        code.load(Size::W, Reg::R2, Reg::R6, 24);
        code.jump_if(Reg::R2, When::Ne, 0x5000, pass);
        code.map_value(Reg::R7, 4);
        code.atomic_add(Reg::R7, 8, Reg::R1);
        code.jump_if_reg(Reg::R0, When::Lt, Reg::R1, pass);
        code.call(Helper::SetRetval);
        code.bind(pass);
        code.end(1);
        let expected = "   0  r6 = r1
   ; the port is 80
   1  r2 = *(u32 *)(r6 +24)
   2  if w2 != 0x5000 goto 8
   3  r7 = value of map fd 4
   5  lock *(u64 *)(r7 +8) += r1
   6  if r0 < r1 goto 8
   7  call set_retval
   8  r0 = 1
   9  exit
";
        assert_eq!(code.finish().unwrap().listing(), expected);
    }
}
