/** A decoder reference number (IEC 62055-41): 11 or 13 digits. */
export function isDrnForm(text: string): boolean {
  return /^(\d{11}|\d{13})$/.test(text);
}

/** [T-4]: its last digit is the Luhn check digit over the others. 09000030529 passes. */
export function hasDrnCheckDigit(drn: string): boolean {
  return isDrnForm(drn) && drn.endsWith(luhnDigit(drn.slice(0, -1)));
}

/** The check digit that belongs behind these digits (ISO/IEC 7812-1: every second one from the right doubled). */
export function luhnDigit(digits: string): string {
  let sum = 0;
  for (let fromRight = 0; fromRight < digits.length; fromRight++) {
    const digit = digits.charCodeAt(digits.length - 1 - fromRight) - 48;
    const doubled = fromRight % 2 === 0 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return String((10 - (sum % 10)) % 10);
}
