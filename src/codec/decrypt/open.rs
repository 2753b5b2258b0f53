//! AES-128 in the modes that meters have: GCM (NIST SP 800-38D) and CBC.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

/// Bytes of a block.
const BLOCK: usize = 16;

/// Bytes of a tag of DLMS (IEC 62056-5-3, 5.3.3).
const TAG: usize = 12;

/// The keys of a device.
pub(super) struct Cipher {
    cipher: Aes128,
    auth_key: Option<[u8; BLOCK]>,
}

type Opened<T> = Result<T, &'static str>;

const KEY: &str = "what the key opens";

impl Cipher {
    pub(super) fn new(key: &[u8; BLOCK], auth_key: Option<[u8; BLOCK]>) -> Cipher {
        Cipher { cipher: Aes128::new(key.into()), auth_key }
    }

    pub(super) fn open(&self, frame: &[u8]) -> Opened<Vec<u8>> {
        match frame {
            [0x68, _, _, 0x68, ..] => self.m_bus(frame),
            // Behind the LLC bytes of HDLC.
            [0xDB, rest @ ..] | [0xE6, 0xE7, _, 0xDB, rest @ ..] => self.general_glo(rest),
            _ => Err("general-glo-ciphering of DLMS, DB, or a long frame of the M-Bus"),
        }
    }

    /// General-glo-ciphering behind its tag (IEC 62056-5-3, 5.3.4): system title, and what is ciphered with
    /// its length.
    fn general_glo(&self, rest: &[u8]) -> Opened<Vec<u8>> {
        let cut = || "as many bytes as the lengths say";
        let (&length, rest) = rest.split_first().ok_or_else(cut)?;
        let (title, rest) = rest.split_at_checked(length.into()).ok_or_else(cut)?;
        let title: [u8; 8] = title.try_into().map_err(|_| "a system title of 8 bytes")?;
        let (length, rest) = match *rest {
            [length @ 0..=0x7F, ref rest @ ..] | [0x81, length, ref rest @ ..] => {
                (length.into(), rest)
            }
            [0x82, high, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
            _ => return Err("a length below 65536"),
        };
        let ciphered = rest.get(..length).ok_or_else(cut)?;
        let (&[security, counter @ ..], sealed) =
            ciphered.split_first_chunk::<5>().ok_or_else(cut)?;
        // Bit 5: encrypted; bit 4: authenticated; bit 7: compressed. The lowest bits are the suite; 0
        // and 1 have AES-128.
        if security & 0x20 == 0 || security & 0x80 != 0 || security & 0xF > 1 {
            return Err("encryption with AES-128 and without compression");
        }
        let mut nonce = [0; TAG];
        nonce[..8].copy_from_slice(&title);
        nonce[8..].copy_from_slice(&counter);
        let sealed = match security & 0x10 {
            0 => sealed,
            _ => {
                let text = sealed.len().checked_sub(TAG).ok_or_else(cut)?;
                let (text, tag) = sealed.split_at(text);
                if let Some(auth_key) = &self.auth_key {
                    let mut added = [security; 1 + BLOCK];
                    added[1..].copy_from_slice(auth_key);
                    if !is_same(&self.tag(&nonce, &added, text), tag) {
                        return Err(KEY);
                    }
                }
                text
            }
        };
        let text = self.counter_mode(&nonce, sealed);
        // Where no tag was checked, this tells a wrong key.
        if is_telegram(&text) || is_notification(&text) { Ok(text) } else { Err(KEY) }
    }

    /// Decrypts, or encrypts, what was encrypted in counter mode.
    pub(super) fn counter_mode(&self, nonce: &[u8; 12], sealed: &[u8]) -> Vec<u8> {
        let mut text = sealed.to_vec();
        // The first block is that of the tag.
        for (counter, piece) in (2_u32..).zip(text.chunks_mut(BLOCK)) {
            let stream = self.block(nonce, counter);
            piece.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
        }
        text
    }

    /// The tag over what is added and what is encrypted.
    pub(super) fn tag(&self, nonce: &[u8; 12], added: &[u8], sealed: &[u8]) -> [u8; BLOCK] {
        let mut key = Block::default();
        self.cipher.encrypt_block(&mut key);
        let mut hash = GHash::new(&key);
        hash.update_padded(added);
        hash.update_padded(sealed);
        let mut lengths = Block::default();
        let bits = |bytes: &[u8]| (8 * bytes.len() as u64).to_be_bytes();
        lengths[..8].copy_from_slice(&bits(added));
        lengths[8..].copy_from_slice(&bits(sealed));
        hash.update(&[lengths]);
        let mut tag: [u8; BLOCK] = hash.finalize().into();
        tag.iter_mut().zip(self.block(nonce, 1)).for_each(|(byte, key)| *byte ^= key);
        tag
    }

    fn block(&self, nonce: &[u8; 12], counter: u32) -> [u8; BLOCK] {
        let mut block = Block::default();
        block[..12].copy_from_slice(nonce);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    /// A long frame of the M-Bus with its records in clear. Those of mode 5 (EN 13757-3, 5.4.8.6) are
    /// encrypted in CBC mode; the initialisation vector is made of the head.
    fn m_bus(&self, frame: &[u8]) -> Opened<Vec<u8>> {
        let sum_before = sum(frame);
        let mut frame = frame.to_vec();
        let Some((head, records)) = frame.split_first_chunk_mut::<19>() else { return Ok(frame) };
        let [.., control, id0, id1, id2, id3, m0, m1, version, medium, access, _, low, high] =
            *head;
        let (mode, blocks) = (high & 0x1F, usize::from(low >> 4));
        // What is encrypted otherwise is refused by the decoder.
        if control != 0x72 || mode != 5 || blocks == 0 {
            return Ok(frame);
        }
        let sealed = records.get_mut(..BLOCK * blocks).ok_or("as many blocks as the frame says")?;
        let mut before = [access; BLOCK];
        before[..8].copy_from_slice(&[m0, m1, id0, id1, id2, id3, version, medium]);
        for piece in sealed.chunks_exact_mut(BLOCK) {
            let mut block = Block::default();
            block.copy_from_slice(piece);
            let next = block.into();
            self.cipher.decrypt_block(&mut block);
            let clear = block.iter().zip(before).map(|(byte, before)| byte ^ before);
            piece.iter_mut().zip(clear).for_each(|(byte, clear)| *byte = clear);
            before = next;
        }
        if !sealed.starts_with(b"\x2F\x2F") {
            return Err(KEY);
        }
        // What is left is not encrypted.
        (head[17], head[18]) = (low & 0xF, high & 0xE0);
        // The checksum stays as right or as wrong as it was.
        let change = sum(&frame).wrapping_sub(sum_before);
        let at = 4 + frame.get(1).map_or(0, |length| usize::from(*length));
        if let Some(check) = frame.get_mut(at) {
            *check = check.wrapping_add(change);
        }
        Ok(frame)
    }
}

/// The checksum of a long frame of the M-Bus (EN 13757-2).
fn sum(frame: &[u8]) -> u8 {
    let length = frame.get(1).map_or(0, |length| usize::from(*length));
    frame.iter().skip(4).take(length).fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Compares tags in a time that does not tell where they differ; the one on the line is shorter.
fn is_same(tag: &[u8; BLOCK], sent: &[u8]) -> bool {
    sent.len() == TAG && tag.iter().zip(sent).fold(0, |all, (a, b)| all | a ^ b) == 0
}

/// Whether it is a telegram of the P1 port.
fn is_telegram(text: &[u8]) -> bool {
    text.first() == Some(&b'/') && text.is_ascii()
}

/// Whether it begins as a Data-Notification with a structure or an array.
fn is_notification(text: &[u8]) -> bool {
    let body = match text {
        [0x0F, _, _, _, _, 0, body @ ..] => body,
        [0x0F, _, _, _, _, 0x0C, rest @ ..] | [0x0F, _, _, _, _, 0x09, 0x0C, rest @ ..] => {
            rest.get(12..).unwrap_or_default()
        }
        _ => return false,
    };
    matches!(body, [1 | 2, ..])
}

#[cfg(test)]
mod tests;
