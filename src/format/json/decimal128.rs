//! Decimal128 as text, by the rules of the BSON Decimal128 specification ("To String
//! Representation").

const BIAS: i32 = 6176;

/// The largest coefficient, 34 nines. A larger one (which the encoding can hold) stands for zero.
const MAX_COEFFICIENT: u128 = 10u128.pow(34) - 1;

const SIGN: u128 = 1 << 127;

/// Writes the text alone.
pub(super) fn write_decimal(bits: u128, out: &mut Vec<u8>) {
    match bits >> 122 & 0x1f {
        0x1f => out.extend_from_slice(b"NaN"),
        0x1e if bits & SIGN != 0 => out.extend_from_slice(b"-Infinity"),
        0x1e => out.extend_from_slice(b"Infinity"),
        _ => write_finite(bits, out),
    }
}

fn write_finite(bits: u128, out: &mut Vec<u8>) {
    if bits & SIGN != 0 {
        out.push(b'-');
    }
    // With both top bits of the combination field set the exponent lies two bits lower and the
    // coefficient is at least 2^113, which is more than 34 digits: zero.
    let large = bits >> 125 & 0b11 == 0b11;
    let coefficient = if large { 0 } else { bits & ((1 << 113) - 1) };
    let coefficient = if coefficient > MAX_COEFFICIENT { 0 } else { coefficient };
    let exponent_bits = bits >> (if large { 111 } else { 113 }) & 0x3fff;
    let exponent = i32::try_from(exponent_bits).unwrap_or_default() - BIAS;
    let mut buffer = itoa::Buffer::new();
    // Nearly all amounts fit in 64 bits, which are several times cheaper to divide.
    let digits = match u64::try_from(coefficient) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(coefficient),
    };
    write_digits(digits.as_bytes(), exponent, out);
}

/// Plain notation where that needs no zeros on the right and at most five between the point and
/// the first digit, else scientific.
fn write_digits(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let length = i32::try_from(digits.len()).unwrap_or_default();
    let adjusted = exponent + length - 1;
    if exponent > 0 || adjusted < -6 {
        return write_scientific(digits, adjusted, out);
    }
    let fraction = exponent.unsigned_abs() as usize;
    if fraction == 0 {
        out.extend_from_slice(digits);
    } else if let Some(whole) = digits.len().checked_sub(fraction).filter(|&whole| whole > 0) {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + fraction - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

fn write_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'E');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
}
