#include "flat_json.h"

#include <string.h>

/* Deep nesting is nobody's balance command. */
static const int kDepthMost = 8;
/* 2^53: beyond it the back end's own numbers are no longer exact. */
static const int64_t kMost = 9007199254740991;

static bool isDigit(char letter) { return letter >= '0' && letter <= '9'; }

bool FlatJson::isValid() {
  bool isFound;
  return toValueOf(nullptr, &isFound);
}

bool FlatJson::decimal(const char *key, unsigned decimals, int64_t *value) {
  bool isFound = false;
  if (!toValueOf(key, &isFound) || !isFound) return false;
  const bool isNegative = isNext('-');
  if (at_ >= end_ || !isDigit(*at_)) return false;
  int64_t number = 0;
  bool isFraction = false;
  unsigned places = 0;
  for (; at_ < end_ && (isDigit(*at_) || (*at_ == '.' && !isFraction)); at_++) {
    if (*at_ == '.') {
      isFraction = true;
      continue;
    }
    /* Trailing zeros say nothing. */
    if (isFraction && places == decimals) {
      if (*at_ != '0') return false;
      continue;
    }
    if (isFraction) places++;
    number = number * 10 + (*at_ - '0');
    if (number > kMost) return false;
  }
  /* An exponent: no back end writes a balance so. */
  if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) return false;
  for (; places < decimals; places++) {
    number *= 10;
    if (number > kMost) return false;
  }
  *value = isNegative ? -number : number;
  return true;
}

bool FlatJson::text(const char *key, char *value, size_t size) {
  bool isFound = false;
  if (!toValueOf(key, &isFound) || !isFound) return false;
  const char *begin = at_ + 1;
  if (!skipString()) return false;
  const size_t length = (size_t)(at_ - begin) - 1;
  if (length >= size || memchr(begin, '\\', length) != nullptr || memchr(begin, '\0', length) != nullptr) return false;
  memcpy(value, begin, length);
  value[length] = '\0';
  return true;
}

/* Reads the object from its beginning; stops at the value of `key`, or goes through to the end. */
bool FlatJson::toValueOf(const char *key, bool *isFound) {
  at_ = json_;
  *isFound = false;
  skipSpace();
  if (!isNext('{')) return false;
  skipSpace();
  if (!isNext('}')) {
    do {
      skipSpace();
      const char *name = at_ + 1;
      if (!skipString()) return false;
      const size_t length = (size_t)(at_ - name) - 1;
      skipSpace();
      if (!isNext(':')) return false;
      skipSpace();
      if (key != nullptr && length == strlen(key) && memcmp(name, key, length) == 0) {
        *isFound = true;
        return true;
      }
      if (!skipValue()) return false;
      skipSpace();
    } while (isNext(','));
    if (!isNext('}')) return false;
  }
  skipSpace();
  return at_ == end_;
}

bool FlatJson::skipValue() {
  if (at_ >= end_) return false;
  switch (*at_) {
    case '"': return skipString();
    case 't': return skipWord("true");
    case 'f': return skipWord("false");
    case 'n': return skipWord("null");
    case '{':
    case '[': break;
    default: return skipNumber();
  }
  int depth = 0;
  do {
    if (at_ >= end_) return false;
    if (*at_ == '"') {
      if (!skipString()) return false;
      continue;
    }
    if (*at_ == '{' || *at_ == '[') depth++;
    if (*at_ == '}' || *at_ == ']') depth--;
    at_++;
  } while (depth > 0 && depth <= kDepthMost);
  return depth == 0;
}

bool FlatJson::skipString() {
  if (!isNext('"')) return false;
  for (; at_ < end_ && *at_ != '"'; at_++) {
    if (*at_ == '\\' && at_ + 1 < end_) at_++;
  }
  return isNext('"');
}

bool FlatJson::skipNumber() {
  const char *begin = at_;
  isNext('-');
  while (at_ < end_ && (isDigit(*at_) || (*at_ != '\0' && strchr(".eE+-", *at_) != nullptr))) at_++;
  return at_ > begin && isDigit(at_[-1]);
}

bool FlatJson::skipWord(const char *word) {
  const size_t length = strlen(word);
  if ((size_t)(end_ - at_) < length || memcmp(at_, word, length) != 0) return false;
  at_ += length;
  return true;
}

void FlatJson::skipSpace() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) at_++;
}

bool FlatJson::isNext(char letter) {
  if (at_ >= end_ || *at_ != letter) return false;
  at_++;
  return true;
}
