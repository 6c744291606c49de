#include "memory.h"

#include <Preferences.h>

static Preferences preferences;

void Memory::begin() { preferences.begin("meter", false); }

Remembered Memory::read() {
  Remembered state = {};
  if (preferences.getBytesLength("state") == sizeof state) preferences.getBytes("state", &state, sizeof state);
  return state;
}

void Memory::write(const Remembered &state) { preferences.putBytes("state", &state, sizeof state); }

RememberedTokens Memory::readTokens() {
  RememberedTokens tokens = {};
  if (preferences.getBytesLength("tokens") == sizeof tokens) preferences.getBytes("tokens", &tokens, sizeof tokens);
  return tokens;
}

void Memory::write(const RememberedTokens &tokens) { preferences.putBytes("tokens", &tokens, sizeof tokens); }
