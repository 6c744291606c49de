#pragma once
#include "prepaid.h"
#include "text.h"

struct Status {
  /* online, low_balance or error */
  const char *status;
  const char *message;
  /* As the log says it. */
  const char *title;
};

/* [M-3]; the balance from which on it is low in ten-thousandths of a kWh. */
Status statusOf(const Prepaid &meter, int64_t lowUnits);

Text consumptionText(const char *meterNo, const Report &report);                             /* [M-2] */
Text statusText(const char *meterNo, const Status &status, int64_t balance, int rssi, int64_t clockMs); /* [M-3] */
/* [M-4]: the command's own balance and timestamp, so that it is plain which one is meant. */
Text confirmationText(const char *meterNo, const BalanceCommand &command);

/* [M-6]. Null when it is understood, else the reason why it is no such command. */
const char *parseBalanceCommand(const char *json, size_t length, BalanceCommand *command);
