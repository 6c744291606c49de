#pragma once
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Credit tokens over the network ([M-7]): 20 digits that a meter takes once. */
struct TokenCommand {
  char token[21];
  /* By which the answer says what it answers; '' when the vendor gave none. */
  char messageId[65];
};

enum class TokenStatus : uint8_t { none, success, used, failed };

/* What was said of the last token; it is said again until it is acknowledged. Units in ten-thousandths of a kWh. */
struct TokenAnswer {
  TokenStatus status;
  bool isAcknowledged;
  int64_t units;
  char messageId[65];
};

/* What survives a power failure, in NVS: written before the credit and before the answer. */
struct RememberedTokens {
  uint32_t version;
  /* How many were taken; a balance that knows of one less lacks the units of the last answer. */
  uint32_t taken;
  TokenAnswer last;
  char used[50][21];
};

const uint32_t kTokensVersion = 1;

/* The token slot of the meter. No hardware, no network. */
class TokenSlot {
 public:
  /* A message that comes twice is answered twice in the same way; true: the token is taken, credit its units. */
  bool take(const TokenCommand &command);
  const TokenAnswer &last() const { return memory_.last; }
  /* The answer that nobody has acknowledged, or null. */
  const TokenAnswer *unanswered() const;
  void acknowledged() { memory_.last.isAcknowledged = true; }
  uint32_t taken() const { return memory_.taken; }

  const RememberedTokens &remember() const { return memory_; }
  void recall(const RememberedTokens &before);

 private:
  bool isUsed(const char *token) const;

  RememberedTokens memory_ = {};
};

/* Null when it is understood, else the reason why it is no such command: an object, or the digits alone. */
const char *parseTokenCommand(const char *json, size_t length, TokenCommand *command);
/* Never with the token: answers are kept, and a token is money. */
Text tokenAnswerText(const char *meterNo, const TokenAnswer &answer);

/*
 * What a token is worth: 0 when it is none of this meter's. This one plays, as the demo's virtual meters do, and checks
 * no more than that it is a credit token. A real meter asks its STS security module here, which has the decoder key.
 */
int64_t unitsOfToken(const char *token);
