//! New TCP connects are refused: connect(2) fails with ECONNREFUSED, as if nobody listened.

use super::asm::{AsmError, Assembler, Code, Helper, Reg, Size, When};
use super::bpf::{Cells, Hook};
use super::select::{Selection, TCP, sock_addr};
use super::{Programs, throw_dice};

/// For both families. IPv4 in IPv6 is the second one's.
pub fn programs(selection: &Selection, settings: &Cells, counters: &Cells) -> Programs {
    [(Hook::Connect4, false), (Hook::Connect6, true)]
        .into_iter()
        .filter(|(_, six)| selection.can_hit(*six))
        .map(|(hook, six)| Ok((hook, program(selection, six, settings, counters)?)))
        .collect()
}

fn program(selection: &Selection, six: bool, settings: &Cells, counters: &Cells) -> Result<Code, AsmError> {
    let mut code = Assembler::default();
    let pass = code.label();
    code.copy(Reg::R6, Reg::R1);
    code.note("TCP alone");
    code.load(Size::W, Reg::R2, Reg::R6, sock_addr::PROTOCOL);
    code.jump_if(Reg::R2, When::Ne, i32::from(TCP), pass);
    selection.choose_address(&mut code, six, pass);
    throw_dice(&mut code, settings, counters, pass);
    code.note("connect(2) fails with ECONNREFUSED");
    code.set(Reg::R1, -libc::ECONNREFUSED);
    code.call(Helper::SetRetval);
    code.end(0);
    code.bind(pass);
    code.note("not hit");
    code.end(1);
    code.finish()
}
