#include "tokens.h"

#include <string.h>

#include "flat_json.h"

/* 2^66 - 1: no token is larger. */
static const char *const kLargest = "73786976294838206463";
static const size_t kDigits = 20;
static const unsigned kStepsMost = 713;
static const int64_t kUnitsPerStep = 1000;

bool TokenSlot::take(const TokenCommand &command) {
  /* MQTT may deliver a command twice, and that is no second token. */
  const bool isAgain = command.messageId[0] != '\0' && strcmp(command.messageId, memory_.last.messageId) == 0;
  memory_.last.isAcknowledged = false;
  if (isAgain) return false;
  memory_.version = kTokensVersion;
  memcpy(memory_.last.messageId, command.messageId, sizeof command.messageId);
  const int64_t units = unitsOfToken(command.token);
  const bool isKnown = isUsed(command.token);
  memory_.last.status = isKnown ? TokenStatus::used : units == 0 ? TokenStatus::failed : TokenStatus::success;
  memory_.last.units = memory_.last.status == TokenStatus::success ? units : 0;
  if (memory_.last.status != TokenStatus::success) return false;
  const size_t most = sizeof memory_.used / sizeof memory_.used[0];
  memcpy(memory_.used[memory_.taken % most], command.token, sizeof command.token);
  memory_.taken++;
  return true;
}

const TokenAnswer *TokenSlot::unanswered() const {
  return memory_.last.status == TokenStatus::none || memory_.last.isAcknowledged ? nullptr : &memory_.last;
}

void TokenSlot::recall(const RememberedTokens &before) {
  if (before.version == kTokensVersion) memory_ = before;
}

bool TokenSlot::isUsed(const char *token) const {
  for (const char(&one)[21] : memory_.used) {
    if (strcmp(one, token) == 0) return true;
  }
  return false;
}

/* Nothing in it needs an escape when it is given back. */
static bool isPlain(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text < '!' || *text > '~' || *text == '"' || *text == '\\') return false;
  }
  return true;
}

const char *parseTokenCommand(const char *json, size_t length, TokenCommand *command) {
  command->messageId[0] = '\0';
  if (length > 0 && length < sizeof command->token && json[0] >= '0' && json[0] <= '9') {
    memcpy(command->token, json, length);
    command->token[length] = '\0';
    return nullptr;
  }
  FlatJson object(json, length);
  if (!object.isValid()) return "it is not a JSON object";
  if (!object.text("credit_token", command->token, sizeof command->token)) return "credit_token is not a short string";
  const bool hasId = object.text("message_id", command->messageId, sizeof command->messageId);
  if (!hasId || !isPlain(command->messageId)) command->messageId[0] = '\0';
  return nullptr;
}

Text tokenAnswerText(const char *meterNo, const TokenAnswer &answer) {
  static const char *const statuses[] = {"failed", "success", "used", "failed"};
  static const char *const messages[] = {"REJECT", "ACCEPT", "USED", "REJECT"};
  const size_t index = (size_t)answer.status;
  Text text;
  text.add("{\"meter_number\":\"").add(meterNo);
  text.add("\",\"status\":\"").add(statuses[index]);
  text.add("\",\"injected_units\":").addKwh(answer.units);
  text.add(",\"message\":\"").add(messages[index]).add("\"");
  if (answer.messageId[0] != '\0') text.add(",\"message_id\":\"").add(answer.messageId).add("\"");
  text.add("}");
  return text;
}

int64_t unitsOfToken(const char *token) {
  if (strlen(token) != kDigits) return 0;
  /* Modulo 2^64: the class stands in the bits 28 and 27. */
  uint64_t low = 0;
  unsigned rest = 0;
  for (const char *digit = token; *digit != '\0'; digit++) {
    if (*digit < '0' || *digit > '9') return 0;
    low = low * 10 + (uint64_t)(*digit - '0');
    rest = (rest * 10 + (unsigned)(*digit - '0')) % kStepsMost;
  }
  const bool isCredit = ((low >> 27) & 3) == 0;
  if (!isCredit || strcmp(token, kLargest) > 0) return 0;
  return (int64_t)(rest + 1) * kUnitsPerStep;
}
