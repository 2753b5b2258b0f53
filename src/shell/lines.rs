//! Lines of the standard input. A thread of their own reads them: a terminal or a slow pipe must not
//! block the link.

use super::exit::Exit;
use super::failure::Failure;
use bytes::Bytes;
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc;

/// Lines read ahead; the thread waits when it has read one more.
const AHEAD: usize = 16;

/// Starts reading lines, which come without their line breaks. One of more than `longest` bytes is an error.
pub(super) fn of_stdin(longest: usize) -> mpsc::Receiver<Result<Bytes, Failure>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // The thread ends with the input, or with the process.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = read(&mut input, longest).transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

fn read(input: &mut dyn BufRead, longest: usize) -> Result<Option<Bytes>, Failure> {
    let mut line = Vec::new();
    let read = input.take(longest as u64 + 1).read_until(b'\n', &mut line);
    read.map_err(|e| Failure::local("standard input", e))?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.is_empty() {
        return Ok(None);
    } else if line.len() > longest {
        let text = format!("a line of the standard input has more than {longest} bytes");
        return Err(Failure::new(Exit::TOO_LARGE, text));
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_message_also_an_empty_one_and_the_last() {
        let mut input: &[u8] = b"a\n\nb\r\nc";
        let mut next = || read(&mut input, 3).unwrap().map(|line| line.to_vec());
        let lines: Vec<_> = std::iter::from_fn(&mut next).collect();
        assert_eq!(lines, [&b"a"[..], b"", b"b\r", b"c"]);
        assert_eq!(read(&mut &b"abc\n"[..], 3).unwrap().unwrap(), "abc");
        assert_eq!(read(&mut &b"abcd\n"[..], 3).unwrap_err().exit, Exit::TOO_LARGE);
        assert_eq!(read(&mut &b"abcd"[..], 3).unwrap_err().exit, Exit::TOO_LARGE);
    }
}
