/** Names that are no channels. */
export const badNames = [
  '',
  '__proto__',
  '__a',
  '/__a',
  '/__status',
  '/__denied',
  '/\n',
  'a\n',
  '/\0',
  '/\u0085',
  `/${'x'.repeat(255)}`,
  'x'.repeat(256),
];
