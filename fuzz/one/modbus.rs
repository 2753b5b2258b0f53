//! Laws of Modbus replies, for any bytes: the first byte chooses the request, the rest is what comes on
//! the line.

use tty2mqtt::testing::codec::modbus::{Expected, Mode, Request, Scan, Table, frame};

/// The unit that is asked.
const UNIT: u8 = 17;
/// The transaction of Modbus TCP.
const TRANSACTION: u16 = 0x0102;
pub const MODES: [Mode; 3] = [Mode::Rtu, Mode::Ascii, Mode::Tcp];

/// Requests, each with what stands in its answer behind the function code.
pub fn requests() -> [(Request, Vec<u8>); 7] {
    let read = |table, count| Request::Read { table, start: 0x6B, count };
    [
        (read(Table::Coil, 19), vec![3, 0xCD, 0x6B, 0x05]),
        (read(Table::Discrete, 1), vec![1, 1]),
        (read(Table::Holding, 3), vec![6, 2, 0x2B, 0, 0, 0, 0x64]),
        (read(Table::Input, 125), [vec![250], (0..250).collect()].concat()),
        (Request::WriteCoil { at: 0xAC, on: true }, vec![0, 0xAC, 0xFF, 0]),
        (Request::WriteRegister { at: 1, value: 3 }, vec![0, 1, 0, 3]),
        (Request::WriteRegisters { at: 1, values: vec![10, 258] }, vec![0, 1, 0, 2]),
    ]
}

/// The answer to a request of the list.
#[allow(dead_code, reason = "the tests make mutants of it")]
pub fn answer(mode: Mode, choice: usize) -> Vec<u8> {
    let (request, data) = &requests()[choice];
    frame(mode, UNIT, TRANSACTION, &[&[request.function()], data.as_slice()].concat())
}

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((choice, received)) = data.split_first() else { return };
    let choice = usize::from(*choice) % (3 * requests().len());
    check(MODES[choice % 3], choice / 3, received);
}

/// Looks for the answer to a request of the list; returns whether a reply was found.
pub fn check(mode: Mode, choice: usize, received: &[u8]) -> bool {
    let (request, _) = &requests()[choice];
    let expected = Expected::new(mode, UNIT, request, TRANSACTION);
    let last = expected.scan_last(received);
    let found = is_right(mode, request, &last, received);
    let scan = expected.scan(received);
    // A reply does not get lost when nothing more comes.
    let is_lost = is_right(mode, request, &scan, received) && !found;
    assert!(!is_lost, "{mode:?} {request:?}: {}", received.escape_ascii());
    found
}

/// Whether a scan found a reply; its frame is what it must be, checksum included.
fn is_right(mode: Mode, request: &Request, scan: &Scan, received: &[u8]) -> bool {
    let (pdu, len) = match scan {
        Scan::More { drop: len, .. } | Scan::BadChecksum { len, .. } => {
            assert!(*len <= received.len());
            return false;
        }
        Scan::Exception { code, len, .. } => (vec![request.function() | 0x80, code.0], *len),
        Scan::Answer { payload, len, .. } => {
            let payload = payload.of(received);
            let head = match request {
                Request::Read { .. } => vec![payload.len() as u8],
                request => request.encode(Mode::Tcp, UNIT, 0)[8..12].to_vec(),
            };
            ([&[request.function()], head.as_slice(), payload].concat(), *len)
        }
    };
    let right = frame(mode, UNIT, TRANSACTION, &pdu);
    let is_answer = matches!(scan, Scan::Answer { .. });
    assert!(!is_answer || right.len() == request.answer_len(mode));
    let written = &received[len - right.len()..len];
    assert!(written.eq_ignore_ascii_case(&right), "{mode:?}: {}", written.escape_ascii());
    true
}
