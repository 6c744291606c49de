#include "text.h"

Text &Text::add(const char *text) {
  while (*text != '\0') put(*text++);
  return *this;
}

Text &Text::add(int64_t whole) {
  if (whole < 0) put('-');
  /* Unsigned, so that the smallest number has a counterpart. */
  uint64_t rest = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
  char digits[20];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  while (count > 0) put(digits[--count]);
  return *this;
}

Text &Text::addKwhInFull(int64_t units) {
  if (units < 0) put('-');
  const uint64_t size = units < 0 ? 0 - (uint64_t)units : (uint64_t)units;
  add((int64_t)(size / 10000));
  put('.');
  for (uint64_t place = 1000; place > 0; place /= 10) put((char)('0' + size / place % 10));
  return *this;
}

Text &Text::addKwh(int64_t units) {
  addKwhInFull(units);
  while (text_[length_ - 1] == '0') text_[--length_] = '\0';
  if (text_[length_ - 1] == '.') text_[--length_] = '\0';
  return *this;
}

void Text::put(char letter) {
  if (length_ + 1 < sizeof text_) text_[length_++] = letter;
}
