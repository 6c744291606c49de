#include "mains.h"

#include <Arduino.h>
#include <math.h>

#include "settings.h"

/* Ten periods of 50 Hz, or twelve of 60 Hz: whole ones in both. */
static const uint32_t kWindowUs = 200000;
static const uint32_t kSampleUs = 200;

uint32_t wattsDrawn() {
  /* The transformer's signal swings about half the supply; the mean is taken out of the mean square. */
  double sum = 0;
  double squares = 0;
  uint32_t samples = 0;
  const uint32_t begun = micros();
  while (micros() - begun < kWindowUs) {
    const double volts = analogReadMilliVolts(CURRENT_PIN) / 1000.0;
    sum += volts;
    squares += volts * volts;
    samples++;
    delayMicroseconds(kSampleUs);
  }
  const double mean = sum / samples;
  const double amps = sqrt(fmax(0, squares / samples - mean * mean)) * AMPS_PER_VOLT;
  /* Below it is the noise of the converter, which would empty a balance overnight. */
  return amps < AMPS_LEAST ? 0 : (uint32_t)lround(amps * MAINS_VOLTS);
}
