// What the client needs of jQuery.ajax.
MessageBus.ajax = (options) => {
  const request = new XMLHttpRequest();
  request.open(options.type, options.url);
  for (const [name, value] of Object.entries(options.headers)) request.setRequestHeader(name, value);

  const fail = (reason) => {
    options.error(request, reason);
    options.complete();
  };
  request.onload = () => {
    if (request.status !== 200) return fail('error');
    options.success(request.responseText);
    options.complete();
  };
  request.onerror = () => fail('error');
  request.onabort = () => fail('abort');

  if (options.messageBus.chunked) options.messageBus.onProgressListener(request);
  request.send(new URLSearchParams(options.data));
  return request;
};
