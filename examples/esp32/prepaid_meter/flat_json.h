#pragma once
#include <stddef.h>
#include <stdint.h>

/* Numbers and short strings at the top of a JSON object, read exactly: no floating point, no allocation. */
class FlatJson {
 public:
  FlatJson(const char *json, size_t length) : at_(json), end_(json + length), json_(json) {}
  /* Whether it is one object, well formed as far as it matters here. */
  bool isValid();
  /* The number as whole 10^-decimals; false: absent, no number, more decimals, or too large. */
  bool decimal(const char *key, unsigned decimals, int64_t *value);
  /* The string without escapes, with its NUL; false: absent, no string, escaped, or longer than `size` allows. */
  bool text(const char *key, char *value, size_t size);

 private:
  bool toValueOf(const char *key, bool *isFound);
  bool skipValue();
  bool skipString();
  bool skipNumber();
  bool skipWord(const char *word);
  void skipSpace();
  bool isNext(char letter);

  const char *at_;
  const char *const end_;
  const char *const json_;
};
