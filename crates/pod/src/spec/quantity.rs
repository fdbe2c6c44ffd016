//! Kubernetes quantities: `0.5`, `500m`, `64Mi`, `1G`, `1e9`.

/// Thousandths of a whole: `500m` is 500, `1.5` is 1500. None if it is no quantity, or not representable.
#[must_use]
pub fn milli(text: &str) -> Option<u64> {
    scaled(text, 3)
}

/// A whole number of bytes: `64Mi` is 67108864. Fractions are rounded up, as Kubernetes does.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, 0)
}

/// The value times 10 to the power of `places`, rounded up.
fn scaled(text: &str, places: i32) -> Option<u64> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (factor, power) = unit(suffix)?;
    let digits = format!("{whole}{fraction}");
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let value: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let value = value.checked_mul(factor)?;
    let power = power.checked_add(places)?.checked_sub(fraction_digits)?;
    let ten = 10u128.checked_pow(power.unsigned_abs())?;
    let value = if power >= 0 { value.checked_mul(ten)? } else { value.div_ceil(ten) };
    u64::try_from(value).ok()
}

/// The factor and the power of ten of a suffix.
fn unit(suffix: &str) -> Option<(u128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1, exponent)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (text, value) in [
            ("1", 1000),
            ("500m", 500),
            ("0.5", 500),
            ("1.5", 1500),
            ("2k", 2_000_000),
            (".25", 250),
            ("1u", 1),
        ] {
            assert_eq!(milli(text), Some(value), "{text}");
        }
        for (text, value) in [
            ("64Mi", 64 << 20),
            ("1G", 1_000_000_000),
            ("1.5Gi", 3 << 29),
            ("1e6", 1_000_000),
            ("128974848", 128_974_848),
            ("0", 0),
        ] {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for text in
            ["", ".", "m", "-1", "1mi", "1e99", "1 Mi", "0x10", "99999999999999999999E", "1e-2147483648"]
        {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
