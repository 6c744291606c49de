#pragma once
#include <stddef.h>
#include <stdint.h>

/* Text in a buffer of fixed size: nothing is allocated while the meter runs. What does not fit is cut off. */
class Text {
 public:
  Text &add(const char *text);
  Text &add(int64_t whole);
  /* Ten-thousandths as a JSON number: 52452 is 5.2452, 105000 is 10.5. */
  Text &addKwh(int64_t units);
  /* With all four decimals: 10.5000. */
  Text &addKwhInFull(int64_t units);
  const char *c_str() const { return text_; }

 private:
  void put(char letter);
  char text_[320] = {};
  size_t length_ = 0;
};
