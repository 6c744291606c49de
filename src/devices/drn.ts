/** A decoder reference number (IEC 62055-41): 11 or 13 digits. */
export function isDrnForm(text: string): boolean {
  return /^(\d{11}|\d{13})$/.test(text);
}

/** [T-4]: its last digit is the Luhn check digit over the others (ISO/IEC 7812-1). 09000030529 passes. */
export function hasDrnCheckDigit(drn: string): boolean {
  let sum = 0;
  for (let fromRight = 0; fromRight < drn.length; fromRight++) {
    const digit = drn.charCodeAt(drn.length - 1 - fromRight) - 48;
    const doubled = fromRight % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return isDrnForm(drn) && sum % 10 === 0;
}
