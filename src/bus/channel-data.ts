/**
 * The type of the data of `Channel`. `Channels` maps channels and patterns to types of data: `{ '/orders/*': Order;
 * '/chat': Chat }`. `*` stands for one segment, `**` at the end for any number of segments. The type is unknown if no
 * channel or pattern matches.
 */
export type DataOf<Channels, Channel extends string> = string extends Channel
  ? unknown
  : Channel extends keyof Channels
    ? Channels[Channel]
    : OrUnknown<
        {
          [Pattern in keyof Channels & string]: Matches<Pattern, Channel> extends true ? Channels[Pattern] : never;
        }[keyof Channels & string]
      >;

type OrUnknown<Data> = [Data] extends [never] ? unknown : Data;

type Matches<Pattern extends string, Channel extends string> = Pattern extends '**'
  ? true
  : Pattern extends `${infer Segment}/${infer Rest}`
    ? Channel extends `${infer Given}/${infer GivenRest}`
      ? Segment extends '*' | Given
        ? Matches<Rest, GivenRest>
        : false
      : false
    : Channel extends `${string}/${string}`
      ? false
      : Pattern extends '*' | Channel
        ? true
        : false;
