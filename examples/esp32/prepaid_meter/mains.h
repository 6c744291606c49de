#pragma once
#include <stdint.h>

/* What the load draws right now, in whole watts. Measures for ten periods of the mains: 200 ms. */
uint32_t wattsDrawn();
