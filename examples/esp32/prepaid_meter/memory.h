#pragma once
#include "prepaid.h"
#include "tokens.h"

/* NVS. One write of some 100 bytes per report wears the usual 20 kB partition out in about fifteen years. */
class Memory {
 public:
  void begin();
  /* All zero, version too, when there is nothing. */
  Remembered read();
  void write(const Remembered &state);
  RememberedTokens readTokens();
  void write(const RememberedTokens &tokens);
};
