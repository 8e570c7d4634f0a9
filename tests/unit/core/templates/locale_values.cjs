// What ICU (node's Intl, from CLDR) makes of the same values: the measure for ours. Prints JSON: locale → texts.
const locales = process.argv[2].split(",");
const day = new Date(Date.UTC(2026, 2, 14));
const money = [[1234567.5, "CHF"], [-1234.5, "EUR"], [1235, "JPY"], [0.5, "USD"], [12.345, "KWD"]];
const numbers = [0, 1234, 12345, 1234567.25, -1234567.891, 0.5];
const counted = [0, 1, 2, 3, 5, 11, 21, 100, 1.5];
const found = {};
for (const locale of locales) {
  found[locale] = {
    money: money.map(([amount, currency]) => new Intl.NumberFormat(locale, { style: "currency", currency }).format(amount)),
    numbers: numbers.map((number) => new Intl.NumberFormat(locale).format(number)),
    percent: new Intl.NumberFormat(locale, { style: "percent" }).format(0.12),
    dates: ["short", "medium", "long", "full"].map((dateStyle) =>
      new Intl.DateTimeFormat(locale, { dateStyle, timeZone: "UTC" }).format(day)),
    list: new Intl.ListFormat(locale, { type: "conjunction" }).format(["a", "b", "c"]),
    plurals: counted.map((number) => new Intl.PluralRules(locale).select(number)),
  };
}
console.log(JSON.stringify(found));
